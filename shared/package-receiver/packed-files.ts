import { hashAt, joinHashes } from '../content-library/hash-list.ts';
import { ownMemoryOf } from './message-memory.ts';

/** A whole file of at most one piece, in memory. */
export interface SmallFile {
  /** Lower-case hexadecimal BLAKE3-256. */
  readonly hash: string;
  readonly bytes: Uint8Array;
}

/**
 * Small files on their way to another thread, as few things as possible: to carry a view of memory
 * for each of them costs more than to hash them.
 */
export interface PackedFiles {
  /** Handed over with them. */
  readonly memory: ArrayBuffer;
  /** See `joinHashes`. */
  readonly hashes: string;
  /** For each, where its bytes begin, and how many there are. */
  readonly places: Uint32Array;
}

/**
 * Packs files without copying them where their memory is theirs alone; then it is not theirs any
 * more.
 *
 * @param message the data of all files of one message, those that are not packed included
 */
export function packFiles(
  files: readonly SmallFile[],
  message: readonly Uint8Array[] = files.map(({ bytes }) => bytes),
): PackedFiles {
  const own = ownMemoryOf(message);
  const memory = own ?? new ArrayBuffer(files.reduce((sum, { bytes }) => sum + bytes.length, 0));
  const places = new Uint32Array(files.length * 2);
  let end = 0;
  for (const [index, { bytes }] of files.entries()) {
    const offset = own ? bytes.byteOffset : end;
    if (!own) new Uint8Array(memory, offset).set(bytes);
    places.set([offset, bytes.length], index * 2);
    end += bytes.length;
  }
  return { memory, hashes: joinHashes(files.map(({ hash }) => hash)), places };
}

/** The files as they were packed. */
export function unpackFiles({ memory, hashes, places }: PackedFiles): SmallFile[] {
  return Array.from({ length: places.length / 2 }, (_, index) => ({
    hash: hashAt(hashes, index),
    bytes: new Uint8Array(memory, places[index * 2] ?? 0, places[index * 2 + 1] ?? 0),
  }));
}
