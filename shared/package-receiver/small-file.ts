/** Runs in the receive worker: whole files of at most one piece. */
import { closeSync, constants, fstatSync, openSync, rmSync } from 'node:fs';
import { hashOf } from '../content-library/content-hash.ts';
import { writeFully } from '../content-library/write-fully.ts';
import { readFully } from './partial-file.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;

/** What a small file is. */
interface SmallFileFacts {
  readonly hash: string;
  readonly sizeBytes: number;
}

/**
 * Writes a file whose bytes have been verified. One that is there already and whole is left alone:
 * the library may be taking it over at this moment.
 */
export function writeSmallFile(path: string, hash: string, bytes: Uint8Array): void {
  let fd = openNew(path);
  if (fd === undefined) {
    if (isWhole(path, { hash, sizeBytes: bytes.length })) return;
    rmSync(path, { force: true });
    fd = openNew(path);
  }
  if (fd === undefined) throw new Error('Somebody else writes into the incoming folder');
  try {
    writeFully(fd, bytes, 0);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Whether a file of these very bytes lies there. */
export function isWhole(path: string, { hash, sizeBytes }: SmallFileFacts): boolean {
  const fd = unlessCode('ENOENT', () => openSync(path, O_RDONLY | O_NOFOLLOW));
  if (fd === undefined) return false;
  try {
    return fstatSync(fd).size === sizeBytes && hashOf(readFully(fd, sizeBytes, 0)) === hash;
  } finally {
    closeSync(fd);
  }
}

function openNew(path: string): number | undefined {
  return unlessCode('EEXIST', () =>
    openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600),
  );
}

function unlessCode<T>(code: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return undefined;
    throw error;
  }
}
