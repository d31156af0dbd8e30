// The program of the thread that hashes a package file which may have been damaged on disk.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { ContentHash } from '../content-library/content-hash.ts';
import { isSystemError } from '../content-library/library-failure.ts';
import { serveThreadTask } from '../content-library/thread-task.ts';

/** Read and hashed at once. */
const readBytesMax = 1024 * 1024;

/** Between two messages about progress. */
const toldBytes = 64 * 1024 * 1024;

/** What the thread is given. */
interface HashInput {
  readonly path: string;
  /** Where to begin. */
  readonly startBytes: number;
}

serveThreadTask<HashInput, string, number>(async ({ path, startBytes }, context) => {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const hash = new ContentHash();
    const buffer = Buffer.alloc(readBytesMax);
    for (let position = startBytes; ; ) {
      context.throwIfAborted();
      const count = readSync(descriptor, buffer, 0, buffer.length, position);
      if (count === 0) return hash.digest();
      hash.update(buffer.subarray(0, count));
      position += count;
      if ((position - startBytes) % toldBytes < count) context.send(position - startBytes);
    }
  } catch (error) {
    // A disk that cannot give the bytes back is as bad as one that gives others.
    if (isSystemError(error, 'EIO')) return '';
    throw error;
  } finally {
    closeSync(descriptor);
  }
});
