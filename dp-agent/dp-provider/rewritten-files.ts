import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

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

  static async open(stagingDirectory: string, jobSerial: number): Promise<RewrittenFiles> {
    const rewritten = new RewrittenFiles(join(stagingDirectory, `rewritten.${jobSerial}`));
    const text = await readFile(rewritten.#path, 'utf8').catch(() => '');
    for (const line of text.split('\n')) rewritten.#hashes.add(line);
    return rewritten;
  }

  has(hash: string): boolean {
    return this.#hashes.has(hash);
  }

  async add(hashes: readonly string[]): Promise<void> {
    for (const hash of hashes) this.#hashes.add(hash);
    await mkdir(dirname(this.#path), { recursive: true });
    await appendFile(this.#path, hashes.map((hash) => `${hash}\n`).join(''));
  }
}
