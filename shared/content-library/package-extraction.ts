import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { WaybillError } from '../domain/errors.ts';
import type { ContentReader } from './content-reader.ts';
import { type ExtractOptions, extractContents, makeEmptyDirectory } from './extract-package.ts';
import type { PackageLibrary } from './package-library.ts';
import type { TaskThreads } from './task-threads.ts';

export interface PackageExtractionNeeds {
  readonly packages: Pick<PackageLibrary, 'get'>;
  /** Takes a lease at once. @throws CONTENT_NOT_HELD */
  readonly openContent: (contentId: string) => ContentReader;
  readonly threads: TaskThreads;
  /** Where the library has its files. */
  readonly fileLibrary: string;
  /** Ends all extractions. */
  readonly stopping: AbortSignal;
}

/** Writes trees of packages that are in the library, while these may be updated or removed. */
export class PackageExtraction {
  readonly #needs: PackageExtractionNeeds;

  constructor(needs: PackageExtractionNeeds) {
    this.#needs = needs;
  }

  /** As `extractPackage` of the library. */
  async extract(packageId: string, outDirectory: string, options: ExtractOptions): Promise<void> {
    const { packages, openContent, threads, fileLibrary } = this.#needs;
    const version = packages.get(packageId);
    if (!version) throw new WaybillError({ code: 'PACKAGE_NOT_HELD', packageId });
    // All leases are taken before anything is waited for: the version cannot go meanwhile.
    const readers = version.contents.map((content) => openContent(content.contentId));
    try {
      await makeEmptyDirectory(outDirectory);
      const contents = readers.map(({ descriptor, manifestPath }) => {
        const name = readers.length === 1 ? '' : descriptor.contentId;
        return { descriptor, manifestPath, directory: join(outDirectory, name) };
      });
      for (const { directory } of contents) await mkdir(directory, { recursive: true });
      await extractContents(threads, { fileLibrary, contents }, this.#stoppable(options));
    } finally {
      for (const reader of readers) await reader[Symbol.asyncDispose]();
    }
  }

  #stoppable(options: ExtractOptions): ExtractOptions {
    const signals = [this.#needs.stopping, ...(options.signal ? [options.signal] : [])];
    return { ...options, signal: AbortSignal.any(signals) };
  }
}
