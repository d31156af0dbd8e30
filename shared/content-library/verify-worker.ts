// The program of the thread that hashes files of the library.
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { pieceBytes } from '../domain/content.ts';
import { ContentHash } from './content-hash.ts';
import { isSystemError } from './library-failure.ts';
import { filePathOf } from './library-layout.ts';
import { type HeldFile, identityOf } from './library-tasks.ts';
import { serveThreadTask } from './thread-task.ts';

/** What the thread is given. */
export interface VerifyInput {
  readonly fileLibrary: string;
  readonly files: readonly HeldFile[];
}

/** What it finds: the file is right, is not there in its size, or is damaged as it stands there. */
export type VerifyFinding = 'right' | 'gone' | { readonly damagedIdentity: string };

const buffer = Buffer.allocUnsafe(pieceBytes);

serveThreadTask<VerifyInput, VerifyFinding[], never>(async ({ fileLibrary, files }, context) =>
  files.map((file) => verify(fileLibrary, file, () => context.throwIfAborted())),
);

function verify(fileLibrary: string, file: HeldFile, throwIfAborted: () => void): VerifyFinding {
  const descriptor = openHeld(filePathOf(fileLibrary, file.hash));
  if (descriptor === undefined) return 'gone';
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    if (!stats.isFile() || Number(stats.size) !== file.sizeBytes) return 'gone';
    const isRight = hashOfFile(descriptor, throwIfAborted) === file.hash;
    return isRight ? 'right' : { damagedIdentity: identityOf(stats) };
  } finally {
    closeSync(descriptor);
  }
}

function openHeld(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Undefined when the disk cannot give the bytes back: that is damage, too. */
function hashOfFile(descriptor: number, throwIfAborted: () => void): string | undefined {
  const hash = new ContentHash();
  for (;;) {
    throwIfAborted();
    const count = readOnce(descriptor);
    if (count === undefined) return undefined;
    if (count === 0) return hash.digest();
    hash.update(buffer.subarray(0, count));
  }
}

function readOnce(descriptor: number): number | undefined {
  try {
    return readSync(descriptor, buffer, 0, buffer.length, null);
  } catch (error) {
    if (isSystemError(error, 'EIO')) return undefined;
    throw error;
  }
}
