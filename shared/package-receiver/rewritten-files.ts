import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { toWriteFailure } from '../content-library/library-failure.ts';

/**
 * Which files a redistribution has already written anew, so that it goes on after a crash instead
 * of beginning again. An append-only text file in the package's staging folder, one hash a line; a
 * line cut by a crash only means that one file is sent again.
 */
export class RewrittenFiles {
  readonly #path: string;
  readonly #hashes = new Set<string>();

  private constructor(path: string) {
    this.#path = path;
  }

  /** What an earlier process noted for this job is known again. */
  static async open(stagingDirectory: string, jobSerial: number): Promise<RewrittenFiles> {
    const rewritten = new RewrittenFiles(join(stagingDirectory, `rewritten.${jobSerial}`));
    const text = await readFile(rewritten.#path, 'utf8').catch(() => '');
    for (const line of text.split('\n')) rewritten.#hashes.add(line);
    return rewritten;
  }

  has(hash: string): boolean {
    return this.#hashes.has(hash);
  }

  /** @throws DISK_FULL */
  async add(hashes: readonly string[]): Promise<void> {
    for (const hash of hashes) this.#hashes.add(hash);
    const text = hashes.map((hash) => `${hash}\n`).join('');
    const directory = dirname(this.#path);
    try {
      await mkdir(directory, { recursive: true });
      await appendFile(this.#path, text);
    } catch (error) {
      throw toWriteFailure(error, directory, text.length);
    }
  }
}
