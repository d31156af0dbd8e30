import { ByteReader } from './byte-reader.ts';

/** A block of LevelDB is 4 KiB, or one row when that is larger; what claims more than this lies. */
const uncompressedBytesMax = 1024 * 1024 * 1024;

/**
 * The bytes inside a Snappy block.
 *
 * @throws RangeError when it is not one
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 */
export function snappyUncompressed(block: Buffer): Buffer {
  const reader = new ByteReader(block);
  const length = reader.varint();
  if (length > uncompressedBytesMax) throw new RangeError('A Snappy block is too large');
  const output = Buffer.allocUnsafe(length);
  let offset = 0;
  while (!reader.isAtEnd) {
    const tag = reader.byte();
    if ((tag & 3) === 0) {
      const literal = reader.slice(literalLength(reader, tag));
      if (offset + literal.length > length) throw new RangeError('A Snappy literal is too long');
      offset += literal.copy(output, offset);
    } else {
      const copy = readCopy(reader, tag);
      const isInside = copy.distance > 0 && copy.distance <= offset;
      if (!isInside || offset + copy.length > length) {
        throw new RangeError('A Snappy copy reaches outside its block');
      }
      // Byte by byte: a copy may overlap what it writes.
      for (const end = offset + copy.length; offset < end; offset++) {
        output[offset] = output[offset - copy.distance] as number;
      }
    }
  }
  if (offset !== length) throw new RangeError('A Snappy block is too short');
  return output;
}

function literalLength(reader: ByteReader, tag: number): number {
  const lengthCode = tag >> 2;
  if (lengthCode < 60) return lengthCode + 1;
  const lengthBytes = lengthCode - 59;
  return reader.slice(lengthBytes).readUIntLE(0, lengthBytes) + 1;
}

function readCopy(reader: ByteReader, tag: number): { length: number; distance: number } {
  if ((tag & 3) === 1) {
    return { length: ((tag >> 2) & 7) + 4, distance: ((tag >> 5) << 8) | reader.byte() };
  }
  const distanceBytes = (tag & 3) === 2 ? 2 : 4;
  const distance = reader.slice(distanceBytes).readUIntLE(0, distanceBytes);
  return { length: (tag >> 2) + 1, distance };
}
