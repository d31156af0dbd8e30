import { lstat, mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../../../shared/content-library/library-failure.ts';
import type { PackageVersion } from '../../../shared/domain/package.ts';
import { DirectoryLock } from '../../../shared/state-store/directory-lock.ts';
import { removeFolder } from './folder-removal.ts';
import { refused, refusedBySystem } from './out-directory.ts';

/** Says which package, in which version, what lies here is of. */
const markName = 'package.json';
/** What is ours in a work folder: anything else, and it is somebody else's. */
const ownNames = ['get.lock', markName, `${markName}.new`, 'store', 'library', 'tree', 'log'];

/**
 * Where a package lies until it is whole: survives a crash, is for one package in one version, and
 * belongs to one process at a time.
 */
export class WorkFolder implements AsyncDisposable {
  readonly path: string;
  readonly #lock: DirectoryLock;

  private constructor(path: string, lock: DirectoryLock) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes it, or takes the one that is there.
   *
   * @throws CommandFailure OUT_REFUSED when it is not ours
   * @throws DATA_DIRECTORY_IN_USE while another process works in it
   */
  static async open(path: string): Promise<WorkFolder> {
    try {
      // What arrives is nobody else's business until it is verified.
      await mkdir(path, { mode: 0o700 }).catch(ignoreExisting);
      await requireOwn(path);
    } catch (error) {
      throw refusedBySystem(path, error);
    }
    return new WorkFolder(path, await DirectoryLock.take(join(path, 'get')));
  }

  /** Where the tree is written before it is moved. */
  get treePath(): string {
    return join(this.path, 'tree');
  }

  /**
   * Makes ready for a version: what is here of another one goes.
   *
   * @returns whether there is something of this very version already
   */
  async prepare(version: PackageVersion): Promise<boolean> {
    const mark = toMark(version);
    const found = await readFile(join(this.path, markName), 'utf8').catch(() => '');
    if (found === mark) return true;
    await this.clear();
    await this.#write(mark).catch((error: unknown) => {
      throw refusedBySystem(this.path, error);
    });
    return false;
  }

  /** Removes all that is here; first what says that it is of use. */
  async clear(): Promise<void> {
    for (const name of [markName, `${markName}.new`, 'tree', 'library', 'store', 'log']) {
      await removeFolder(join(this.path, name));
    }
  }

  /** Removes a tree that was begun. */
  clearTree(): Promise<void> {
    return removeFolder(this.treePath);
  }

  /** Removes the folder; nobody works in it any more. */
  async remove(): Promise<void> {
    await this.#lock.release();
    await removeFolder(this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock.release();
  }

  async #write(mark: string): Promise<void> {
    const path = join(this.path, `${markName}.new`);
    {
      await using file = await open(path, 'w');
      await file.writeFile(mark);
      await file.sync();
    }
    await rename(path, join(this.path, markName));
  }
}

function toMark({ packageId, sourceVersion, packageHash }: PackageVersion): string {
  return `${JSON.stringify({ format: 1, packageId, sourceVersion, packageHash })}\n`;
}

/** Before anything is written there, let alone removed. */
async function requireOwn(path: string): Promise<void> {
  if (!(await lstat(path)).isDirectory()) throw refused(path, 'it is no directory');
  const foreign = (await readdir(path)).find((name) => !ownNames.includes(name));
  if (foreign !== undefined) throw refused(path, `"${foreign}" in it is not from "waybill get"`);
}

function ignoreExisting(error: unknown): void {
  if (!isSystemError(error, 'EEXIST')) throw error;
}
