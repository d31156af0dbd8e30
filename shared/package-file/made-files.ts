import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { isSystemError } from '../content-library/library-failure.ts';
import { deltaOperations } from '../delta/delta-reader.ts';
import { FileBytes } from '../delta/file-bytes.ts';
import type { Delta } from '../domain/delta.ts';

/** A delta and its base, each in a file. */
export interface DeltaFiles {
  readonly delta: Delta;
  readonly basePath: string;
  readonly deltaPath: string;
}

/** Copied from the base at once. */
const copyBytesMax = 256 * 1024;

/**
 * The bytes that come out of a base and a delta, in parts that are valid until the next one; at most
 * as many as the delta promises. Nobody has verified them. Blocks.
 *
 * @throws DELTA_INVALID when the delta is damaged
 */
export function* madeBytes({ delta, basePath, deltaPath }: DeltaFiles): Generator<Uint8Array> {
  const baseDescriptor = openSync(basePath, readFlags);
  const deltaDescriptor = openSync(deltaPath, readFlags);
  try {
    const base = new FileBytes(baseDescriptor, delta.baseBytes);
    const source = new FileBytes(deltaDescriptor, fstatSync(deltaDescriptor).size);
    for (const operation of deltaOperations(source, delta)) {
      if (operation.kind === 'insert') yield operation.bytes;
      else yield* copied(base, operation.offset, operation.lengthBytes);
    }
  } finally {
    closeSync(baseDescriptor);
    closeSync(deltaDescriptor);
  }
}

/** Whether a regular file of this size is there. */
export function isThere(path: string, sizeBytes: number): boolean {
  try {
    const descriptor = openSync(path, readFlags);
    const stats = fstatSync(descriptor);
    closeSync(descriptor);
    return stats.isFile() && stats.size === sizeBytes;
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) return false;
    throw error;
  }
}

const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

function* copied(base: FileBytes, offset: number, lengthBytes: number): Generator<Uint8Array> {
  for (let done = 0; done < lengthBytes; ) {
    const bytes = base.read(offset + done, Math.min(copyBytesMax, lengthBytes - done));
    // It became shorter: what comes out is too short, and is not taken.
    if (bytes.length === 0) return;
    done += bytes.length;
    yield bytes;
  }
}
