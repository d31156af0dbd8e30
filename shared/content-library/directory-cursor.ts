import { closeSync, constants, existsSync, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';

/** Where a process sees its open files as paths; on Linux only. */
const openFiles = '/proc/self/fd';
const hasOpenFiles = existsSync(openFiles);

/** A directory is no longer where it was when the cursor went into it. */
export class DirectoryMovedError extends Error {}

/**
 * Stands in one directory of a tree and goes up and down. Names are appended to the directory that
 * is open, never to a whole path, so that trees deeper than any path may be long can be walked, and
 * nobody can swap a directory above for a link meanwhile. Holds one directory open however deep it
 * is. Blocks: for worker threads.
 */
export class DirectoryCursor implements Disposable {
  #descriptor: number;
  #path: string;
  /** Who the directories above are, outermost first. */
  readonly #above: string[] = [];

  /** @throws as opening a directory does: ENOENT, ENOTDIR, EACCES */
  constructor(directory: string) {
    this.#path = directory;
    this.#descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  }

  /** 0 in the directory it began with. */
  get depth(): number {
    return this.#above.length;
  }

  /** The directory's own open file. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** A path of the directory, good as long as the cursor stays. */
  get here(): string {
    return hasOpenFiles ? `${openFiles}/${this.#descriptor}` : this.#path;
  }

  /** A path of something in the directory, good as long as the cursor stays. */
  pathOf(name: string): string {
    return hasOpenFiles ? `${this.here}/${name}` : join(this.#path, name);
  }

  /** Goes into a directory; never through a link. @throws ENOENT, ENOTDIR, ELOOP, EACCES */
  enter(name: string): void {
    const descriptor = openDirectory(this.pathOf(name));
    this.#above.push(identityOf(this.#descriptor));
    closeSync(this.#descriptor);
    this.#descriptor = descriptor;
    this.#path = hasOpenFiles ? '' : join(this.#path, name);
  }

  /**
   * Goes up.
   *
   * @param finish does a last thing to the directory that is left, by its open file, when it may
   *   not be passable any more
   * @throws DirectoryMovedError when the directory above is not the one it came from
   */
  leave(finish?: (descriptor: number) => void): void {
    const above = openDirectory(this.pathOf('..'));
    finish?.(this.#descriptor);
    closeSync(this.#descriptor);
    this.#descriptor = above;
    this.#path = hasOpenFiles ? '' : join(this.#path, '..');
    if (identityOf(above) !== this.#above.pop()) {
      throw new DirectoryMovedError('The directory was moved');
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

function openDirectory(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}

function identityOf(descriptor: number): string {
  const { dev, ino } = fstatSync(descriptor, { bigint: true });
  return `${dev}:${ino}`;
}
