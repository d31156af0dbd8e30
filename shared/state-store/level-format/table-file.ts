import { ByteReader } from './byte-reader.ts';
import { crc32c, unmasked } from './crc32c.ts';
import { snappyUncompressed } from './snappy.ts';

const footerBytes = 48;
const magic = 0xdb4775248b80fb57n;
/** Behind each block: how it is compressed, and its checksum. */
const trailerBytes = 5;
const snappyType = 1;

/** Where a block stands in its table. */
interface BlockPlace {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** A part of a table that is not what was written. */
export interface TableFault {
  readonly reason: string;
  /** Where the compression type of the damaged block stands; undefined when no block is to blame. */
  readonly typeOffset: number | undefined;
}

/**
 * Verifies the checksum of every block of a table (`.ldb`); LevelDB itself, as `level` opens it,
 * does not, and would hand out the damaged rows.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */
export function checkTable(file: Buffer): TableFault[] {
  try {
    return rootPlaces(file).flatMap((root) => {
      const fault = checkBlock(file, root);
      if (fault) return [fault];
      return placesIn(file, root).flatMap((place) => checkBlock(file, place) ?? []);
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [{ reason: error.message, typeOffset: undefined }];
  }
}

/** The two blocks that name all others: the index of filters and the index of rows. */
function rootPlaces(file: Buffer): BlockPlace[] {
  if (file.length < footerBytes) throw new RangeError('the footer is missing');
  const footer = file.subarray(file.length - footerBytes);
  if (footer.readBigUInt64LE(footerBytes - 8) !== magic) {
    throw new RangeError('the footer is damaged');
  }
  const reader = new ByteReader(footer);
  return [readPlace(reader), readPlace(reader)];
}

/** The blocks an index names, as the values of its entries. */
function placesIn(file: Buffer, index: BlockPlace): BlockPlace[] {
  const stored = file.subarray(index.offset, index.offset + index.sizeBytes);
  const isSnappy = file[index.offset + index.sizeBytes] === snappyType;
  const block = isSnappy ? snappyUncompressed(stored) : stored;
  if (block.length < 4) throw new RangeError('an index is too short');
  const restartCount = block.readUInt32LE(block.length - 4);
  const entriesEnd = block.length - 4 * (restartCount + 1);
  if (entriesEnd < 0) throw new RangeError('an index is too short');
  const reader = new ByteReader(block.subarray(0, entriesEnd));
  const places: BlockPlace[] = [];
  while (!reader.isAtEnd) {
    reader.varint(); // how many bytes of the key are those of the entry before
    const keyBytes = reader.varint();
    const valueBytes = reader.varint();
    reader.slice(keyBytes);
    places.push(readPlace(new ByteReader(reader.slice(valueBytes))));
  }
  return places;
}

function readPlace(reader: ByteReader): BlockPlace {
  return { offset: reader.varint(), sizeBytes: reader.varint() };
}

function checkBlock(file: Buffer, place: BlockPlace): TableFault | undefined {
  const typeOffset = place.offset + place.sizeBytes;
  if (typeOffset + trailerBytes > file.length) {
    return { reason: `the block at ${place.offset} is cut off`, typeOffset: undefined };
  }
  const expected = unmasked(file.readUInt32LE(typeOffset + 1));
  if (crc32c(file.subarray(place.offset, typeOffset + 1)) === expected) return undefined;
  return { reason: `the block at ${place.offset} does not match its checksum`, typeOffset };
}
