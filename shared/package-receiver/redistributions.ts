import type { ContentLibrary } from '../content-library/content-library.ts';
import type { BegunAction } from './package-actions.ts';
import { RewrittenFiles } from './rewritten-files.ts';

/** The redistributions that have begun, and what each of them has written anew: one a package. */
export class Redistributions {
  readonly #library: Pick<ContentLibrary, 'stagingDirectoryOf'>;
  readonly #begun = new Map<
    string,
    { readonly jobSerial: number; readonly files: RewrittenFiles }
  >();

  constructor(library: Pick<ContentLibrary, 'stagingDirectoryOf'>) {
    this.#library = library;
  }

  /** An action begins, or goes on: what it had written anew before is known. */
  async begin({ packageId, jobSerial, redistribute }: BegunAction): Promise<void> {
    if (!redistribute) {
      this.#begun.delete(packageId);
      return;
    }
    // Not read again while it goes on: what is just being noted would be missed.
    if (this.#begun.get(packageId)?.jobSerial === jobSerial) return;
    const directory = this.#library.stagingDirectoryOf(packageId);
    const files = await RewrittenFiles.open(directory, jobSerial);
    this.#begun.set(packageId, { jobSerial, files });
  }

  end(packageId: string): void {
    this.#begun.delete(packageId);
  }

  /** These files are in the library now, whoever brought them. @throws DISK_FULL */
  async noteWritten(hashes: readonly string[]): Promise<void> {
    for (const { files } of this.#begun.values()) await files.add(hashes);
  }

  /** Says which files need not be written anew any more; undefined when the package is not redistributed. */
  writtenIn(packageId: string): ((hash: string) => boolean) | undefined {
    const files = this.#begun.get(packageId)?.files;
    return files && ((hash: string) => files.has(hash));
  }
}
