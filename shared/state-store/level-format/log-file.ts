import { crc32c, masked, unmasked } from './crc32c.ts';

/** Records never cross the border of a block without being cut into fragments. */
const blockBytes = 32 * 1024;
/** Checksum, length and type stand before each fragment. */
const headerBytes = 7;

const fragmentTypes = { full: 1, first: 2, middle: 3, last: 4 } as const;
const startTypes: readonly number[] = [fragmentTypes.full, fragmentTypes.first];
const endTypes: readonly number[] = [fragmentTypes.full, fragmentTypes.last];

interface Fragment {
  readonly type: number;
  readonly payload: Buffer;
}

export interface LogContents {
  /** Records that are whole, in order; those behind a fault too. */
  readonly records: readonly Buffer[];
  /** The last bytes are no whole record: what a crash leaves of a write that was not synced. */
  readonly isTorn: boolean;
  /** What is wrong before that, which no crash explains. */
  readonly damage: string | undefined;
}

/**
 * Reads a file in LevelDB's log format: a `.log` or a `MANIFEST`.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/log_format.md
 */
export function readLog(file: Buffer): LogContents {
  const records: Buffer[] = [];
  let open: { offset: number; payloads: Buffer[] } | undefined;
  let faultOffset: number | undefined;
  let damagedOffset: number | undefined;
  for (const { offset, fragment } of fragmentsOf(file)) {
    if (!fragment) {
      faultOffset ??= open?.offset ?? offset;
      open = undefined;
      continue;
    }
    // Something good behind something that is not: no crash leaves that.
    damagedOffset ??= faultOffset;
    faultOffset = undefined;
    if (startTypes.includes(fragment.type)) {
      damagedOffset ??= open?.offset;
      open = { offset, payloads: [] };
    } else if (!open) {
      damagedOffset ??= offset;
      continue;
    }
    open.payloads.push(fragment.payload);
    if (!endTypes.includes(fragment.type)) continue;
    records.push(Buffer.concat(open.payloads));
    open = undefined;
  }
  const damage =
    damagedOffset === undefined ? undefined : `bytes from ${damagedOffset} on are damaged`;
  return { records, isTorn: faultOffset !== undefined || open !== undefined, damage };
}

/** The bytes of a log of these records. */
export function toLog(records: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let offset = 0;
  for (const record of records) {
    let rest = record;
    do {
      const room = blockBytes - (offset % blockBytes);
      if (room < headerBytes) parts.push(Buffer.alloc(room));
      const payloadRoom = (room < headerBytes ? blockBytes : room) - headerBytes;
      const payload = rest.subarray(0, payloadRoom);
      const isFirst = rest === record;
      rest = rest.subarray(payload.length);
      const type = fragmentTypeOf(isFirst, rest.length === 0);
      parts.push(toFragment({ type, payload }));
      offset += (room < headerBytes ? room : 0) + headerBytes + payload.length;
    } while (rest.length > 0);
  }
  return Buffer.concat(parts);
}

function fragmentTypeOf(isFirst: boolean, isLast: boolean): number {
  if (isFirst) return isLast ? fragmentTypes.full : fragmentTypes.first;
  return isLast ? fragmentTypes.last : fragmentTypes.middle;
}

function toFragment({ type, payload }: Fragment): Buffer {
  const fragment = Buffer.concat([Buffer.alloc(headerBytes), payload]);
  fragment.writeUInt8(type, 6);
  fragment.writeUInt32LE(masked(crc32c(fragment.subarray(6))), 0);
  fragment.writeUInt16LE(payload.length, 4);
  return fragment;
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
    // A length of nothing, or beyond the block, hides where the next one is; any other may tell.
    const isLost = payloadEnd > blockEnd || (!fragment && payloadEnd === payloadStart);
    offset = isLost ? blockEnd : payloadEnd;
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
