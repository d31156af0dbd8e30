// The program of the thread that hashes a package file which may have been damaged on disk.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { ContentHash } from '../content-library/content-hash.ts';
import { isSystemError } from '../content-library/library-failure.ts';
import { serveThreadTask } from '../content-library/thread-task.ts';

/** Read and hashed at once. */
const readBytesMax = 1024 * 1024;

serveThreadTask<{ readonly path: string }, string, never>(async ({ path }, context) => {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const hash = new ContentHash();
    const buffer = Buffer.alloc(readBytesMax);
    for (;;) {
      context.throwIfAborted();
      const count = readSync(descriptor, buffer);
      if (count === 0) return hash.digest();
      hash.update(buffer.subarray(0, count));
    }
  } catch (error) {
    // A disk that cannot give the bytes back is as bad as one that gives others.
    if (isSystemError(error, 'EIO')) return '';
    throw error;
  } finally {
    closeSync(descriptor);
  }
});
