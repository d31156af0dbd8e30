import { crc32c, unmasked } from './crc32c.ts';

/** Records never cross the border of a block without being cut into fragments. */
const blockBytes = 32 * 1024;
/** Checksum, length and type stand before each fragment. */
const headerBytes = 7;

const fragmentTypes = { full: 1, first: 2, middle: 3, last: 4 } as const;

interface Fragment {
  readonly type: number;
  readonly payload: Buffer;
}

export interface LogContents {
  /** Whole records, in order, up to the first fault. */
  readonly records: readonly Buffer[];
  /**
   * Why the file is damaged; undefined when all is well, or when only its end is missing: that is
   * what a crash leaves, and what was never synced.
   */
  readonly damage: string | undefined;
}

/**
 * Reads a file in LevelDB's log format: a `.log` or a `MANIFEST`.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/log_format.md
 */
export function readLog(file: Buffer): LogContents {
  const records: Buffer[] = [];
  let fragments: Buffer[] = [];
  let faultAt: number | undefined;
  for (const { offset, fragment } of fragmentsOf(file)) {
    if (faultAt !== undefined) {
      // Something good after something bad: not the torn end of a crash.
      if (fragment) return { records, damage: `bytes from ${faultAt} on are damaged` };
      continue;
    }
    const isStart = fragment?.type === fragmentTypes.full || fragment?.type === fragmentTypes.first;
    if (fragment && isStart !== fragments.length > 0) {
      fragments.push(fragment.payload);
      if (fragment.type === fragmentTypes.full || fragment.type === fragmentTypes.last) {
        records.push(Buffer.concat(fragments));
        fragments = [];
      }
    } else if (fragment) {
      return { records, damage: `a record before byte ${offset} has no end` };
    } else {
      faultAt = offset;
    }
  }
  return { records, damage: undefined };
}

/** All fragments; undefined stands for bytes that are none. */
function* fragmentsOf(file: Buffer): Iterable<{ offset: number; fragment: Fragment | undefined }> {
  let offset = 0;
  while (offset < file.length) {
    const blockEnd = Math.min(file.length, offset - (offset % blockBytes) + blockBytes);
    if (blockEnd - offset < headerBytes) {
      offset = blockEnd;
      continue;
    }
    const payloadStart = offset + headerBytes;
    const payloadEnd = payloadStart + file.readUInt16LE(offset + 4);
    const fragment = payloadEnd <= blockEnd ? readFragment(file, offset, payloadEnd) : undefined;
    yield { offset, fragment };
    // A bad length hides the rest of the block; a plausible one may still lead to the next record.
    offset = payloadEnd > blockEnd || payloadEnd === payloadStart ? blockEnd : payloadEnd;
  }
}

function readFragment(file: Buffer, offset: number, end: number): Fragment | undefined {
  const type = file.readUInt8(offset + 6);
  if (type < fragmentTypes.full || type > fragmentTypes.last) return undefined;
  // The checksum covers the type and the payload.
  const checked = file.subarray(offset + 6, end);
  if (unmasked(file.readUInt32LE(offset)) !== crc32c(checked)) return undefined;
  return { type, payload: checked.subarray(1) };
}
