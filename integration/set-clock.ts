import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';

/** Where Debian has libfaketime (package faketime), on the machines that it builds for. */
const libraries = ['x86_64', 'aarch64'].map(
  (machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`,
);

/**
 * The clock of one process, set as an administrator would set that of its machine: all of the process goes
 * by it, OpenSSL as well, whose checks of certificates no clock of ours that is handed in would reach. What
 * counts durations goes on as it was.
 */
export class SetClock {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @param path of the file that says by how much the clock is wrong */
  static async create(path: string, wrongMs = 0): Promise<SetClock> {
    const clock = new SetClock(path);
    await clock.setWrongBy(wrongMs);
    return clock;
  }

  /** What the process is started with. @throws where libfaketime is not installed */
  get environment(): Readonly<Record<string, string>> {
    const library = libraries.find((path) => existsSync(path));
    if (!library) throw new Error('libfaketime is not here: apt-get install faketime');
    return {
      ...{ LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: this.#path },
      ...{ FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_RESET: '1' },
    };
  }

  /** At once, while the process runs. */
  async setWrongBy(ms: number): Promise<void> {
    const seconds = Math.round(ms / 1000);
    await writeFile(this.#path, `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }
}
