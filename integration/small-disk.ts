import { execFile } from 'node:child_process';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A file system of a few mebibytes, mounted on a directory; needs root. */
export class SmallDisk implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** @returns why there is none, as text, on a machine where nothing can be mounted */
  static async mount(directory: string, sizeBytes: number): Promise<SmallDisk | string> {
    await mkdir(directory, { recursive: true });
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'waybill-test', directory]);
    } catch (error) {
      return `no file system can be mounted here: ${String(error).split('\n')[1] ?? error}`;
    }
    return new SmallDisk(directory);
  }

  /** Takes all room but so much; other files go on to grow into what is left. */
  async fill(leaveBytes = 0): Promise<void> {
    const { bavail, bsize } = await statfs(this.directory);
    const bytes = Math.max(0, bavail * bsize - leaveBytes);
    await writeFile(this.#filler, Buffer.alloc(bytes)).catch((error: NodeJS.ErrnoException) => {
      // Somebody was quicker: it is as full as can be.
      if (error.code !== 'ENOSPC') throw error;
    });
  }

  /** Gives the room back. */
  async makeRoom(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily: an agent that was just killed may hold a file for a moment longer.
    await run('umount', ['--lazy', this.directory]);
  }

  get #filler(): string {
    return join(this.directory, 'filler');
  }
}
