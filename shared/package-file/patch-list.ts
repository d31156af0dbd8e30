/** The patches of a step from one version to the next, in one file of the version history. */
import { hashOf } from '../content-library/content-hash.ts';
import { decodeRecord, encodeRecord, type Patch, recordFieldBytes } from './package-file-format.ts';
import { readFileUpTo } from './small-file.ts';

/** A patch and the delta that it is. */
export interface PatchWithBytes extends Patch {
  readonly bytes: Buffer;
}

/** Longest list, in bytes: it is in memory as a whole. */
export const patchListBytesMax = 16 * 1024 * 1024;

const hashBytes = 32;

/** A list as it is on disk: the hash of all that follows, then records as in a package file. */
export class PatchListBuilder {
  readonly #parts: Buffer[] = [];
  #sizeBytes = hashBytes;

  /** @returns false when there is no room for it */
  add({ bytes, ...patch }: PatchWithBytes): boolean {
    const record = encodeRecord({ kind: 'patch', patch });
    if (this.#sizeBytes + record.length + bytes.length > patchListBytesMax) return false;
    this.#parts.push(record, bytes);
    this.#sizeBytes += record.length + bytes.length;
    return true;
  }

  finish(): Buffer {
    const records = Buffer.concat(this.#parts);
    return Buffer.concat([Buffer.from(hashOf(records), 'hex'), records]);
  }
}

/** The patches of a list; none when it is not there, or not what was written. Blocks. */
export function* readPatchList(path: string): Generator<PatchWithBytes> {
  const list = readFileUpTo(path, patchListBytesMax);
  if (!list || list.length < hashBytes) return;
  const records = list.subarray(hashBytes);
  if (hashOf(records) !== list.toString('hex', 0, hashBytes)) return;
  for (let at = 0; at < records.length; ) {
    const kindByte = records.readUInt8(at);
    const fieldsEnd = at + 1 + (recordFieldBytes(kindByte) ?? 0);
    if (fieldsEnd > records.length) return;
    const record = decodeRecord(kindByte, records.subarray(at + 1, fieldsEnd));
    if (record?.kind !== 'patch') return;
    at = fieldsEnd + record.patch.patchBytes;
    if (at > records.length) return;
    yield { ...record.patch, bytes: records.subarray(fieldsEnd, at) };
  }
}
