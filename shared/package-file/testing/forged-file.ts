import type { PackageVersion } from '../../domain/package.ts';
import { encodeBundle } from '../../package-info/package-info-bundle.ts';
import { packBlock } from '../block-packing.ts';
import {
  blockBytes,
  encodeHead,
  encodeRecord,
  type PackageFileHead,
  type PackageFileRecord,
} from '../package-file-format.ts';
import { RecordSummer } from '../record-sums.ts';

/** A record with the bytes that follow it. */
export interface ForgedItem {
  readonly record: PackageFileRecord;
  readonly bytes: Uint8Array;
}

/** A package file as somebody might make one who is wrong, or lies. */
export interface Forgery {
  readonly version: PackageVersion;
  readonly baseVersion?: number;
  readonly items: readonly ForgedItem[];
  /** What the head says in place of the truth. */
  readonly head?: Partial<PackageFileHead>;
  /** What stands in place of the records; whatever they are. */
  readonly raw?: Uint8Array;
}

/** Its bytes; right, unless something in it is not. */
export function forgedFile({ version, baseVersion = 0, items, ...lies }: Forgery): Buffer {
  const parts = items.flatMap(({ record, bytes }) => [encodeRecord(record), bytes]);
  const raw = lies.raw ?? Buffer.concat(parts);
  const bundle = encodeBundle(version).bytes;
  const { packageId, sourceVersion } = version;
  const head = {
    ...{ packageId, sourceVersion, baseVersion, bundleBytes: bundle.length },
    ...{ rawBytes: raw.length, ...sumsOf(items), ...lies.head },
  };
  const blocks: Buffer[] = [];
  for (let start = 0; start < raw.length; start += blockBytes) {
    blocks.push(forgedBlock(raw.subarray(start, start + blockBytes)));
  }
  return Buffer.concat([encodeHead(head), bundle, ...blocks]);
}

/** A block with its head; what it says of its lengths may be given. */
export function forgedBlock(raw: Uint8Array, said: { raw?: number; packed?: number } = {}): Buffer {
  const packed = packBlock(raw, 3) ?? raw;
  const head = Buffer.alloc(8);
  head.writeUInt32LE(said.raw ?? raw.length, 0);
  head.writeUInt32LE(said.packed ?? packed.length, 4);
  return Buffer.concat([head, packed]);
}

function sumsOf(items: readonly ForgedItem[]) {
  const summer = new RecordSummer();
  for (const { record } of items) summer.add(record);
  return summer.sums;
}
