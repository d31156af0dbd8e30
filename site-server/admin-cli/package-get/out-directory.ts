import { chmod, lstat, mkdir, readdir, realpath, rename, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import {
  syncDirectories,
  syncFileSystem,
} from '../../../shared/content-library/file-system-sync.ts';
import { isSystemError, toWriteFailure } from '../../../shared/content-library/library-failure.ts';
import { toSystemReason } from '../../../shared/runtime/system-reason.ts';
import { CommandFailure } from '../command-failure.ts';

/** Where a package is to be: a directory that does not exist or is empty, as long as it is not whole. */
export class OutDirectory {
  /** Absolute, and without links. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the directories above it. @throws CommandFailure OUT_REFUSED */
  static async open(given: string): Promise<OutDirectory> {
    const wanted = resolve(given);
    try {
      if (await isThere(wanted)) return new OutDirectory(await realpath(wanted));
      await mkdir(dirname(wanted), { recursive: true });
      return new OutDirectory(join(await realpath(dirname(wanted)), basename(wanted)));
    } catch (error) {
      throw refusedBySystem(wanted, error);
    }
  }

  /** Where all lies until then: beside it, so that one rename brings the package here. */
  get workPath(): string {
    return `${this.path}.waybill-partial`;
  }

  /** @throws CommandFailure OUT_REFUSED unless a package can be put here in one step */
  async requireFree(): Promise<void> {
    if (!(await isThere(this.path))) return;
    const names = await readdir(this.path).catch((error: unknown) => {
      throw refusedBySystem(this.path, error);
    });
    if (names.length > 0) throw refused(this.path, 'something is in it');
    if (this.path === process.cwd()) throw refused(this.path, 'you are in it');
    const [own, above] = await Promise.all([stat(this.path), stat(dirname(this.path))]);
    if (own.dev !== above.dev) {
      throw refused(this.path, 'it is the root of a file system; name a directory in it');
    }
  }

  /**
   * Makes a finished tree this directory, in one step, after its bytes are durable.
   *
   * @throws CommandFailure OUT_REFUSED when something came into it meanwhile
   */
  async fill(tree: string): Promise<void> {
    await syncFileSystem(tree).catch((error: unknown) => {
      throw toWriteFailure(error, tree, 0);
    });
    if (await isThere(this.path)) await chmod(tree, (await stat(this.path)).mode & 0o7777);
    try {
      await rename(tree, this.path);
    } catch (error) {
      if (isSystemError(error, 'ENOTEMPTY', 'EEXIST')) {
        throw refused(this.path, 'something came into it meanwhile');
      }
      throw refusedBySystem(this.path, error);
    }
    const above = dirname(this.path);
    await syncDirectories(above, [above]);
  }
}

/** A failure that says what is wrong with a directory that was named. */
export function refused(path: string, reason: string): CommandFailure {
  const expected = 'expected a directory that does not exist or is empty';
  return new CommandFailure('OUT_REFUSED', `${path}: ${expected}; ${reason}`, {
    path,
    reason,
  });
}

/** The failure to throw when the operating system does not allow it; a bug of ours stays one. */
export function refusedBySystem(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error)) return error;
  const failure = toWriteFailure(error, path, 0);
  if (failure !== error) return failure;
  const isNoDirectory = isSystemError(error, 'ENOTDIR', 'EEXIST');
  return refused(path, isNoDirectory ? 'it is no directory' : toSystemReason(error));
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}
