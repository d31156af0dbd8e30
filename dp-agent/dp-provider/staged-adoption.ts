import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import type { StagedFile, StagedFiles } from './staged-files.ts';

/** What adoption needs. */
export interface StagedAdoptionComponents {
  readonly library: Pick<ContentLibrary, 'adoptFiles'>;
  readonly staged: StagedFiles;
  readonly logger: Logger;
  /** Called when files are in the library, before anybody is told. */
  readonly onAdopted: (hashes: readonly string[]) => Promise<void>;
}

/** Moves whole files into the library, many at a time, so that one sync serves them all. */
export class StagedAdoption {
  readonly #components: StagedAdoptionComponents;
  readonly #queue = new SerialQueue();

  constructor(components: StagedAdoptionComponents) {
    this.#components = components;
  }

  /**
   * Takes over what is staged now. What was just verified may always replace what lies in the
   * library: a redistribution repairs so.
   *
   * @throws DISK_FULL
   */
  adoptAll(): Promise<void> {
    return this.#queue.run(async () => {
      const { staged, onAdopted } = this.#components;
      if (staged.count === 0) return;
      const adopted = await this.#adopt(staged.list());
      staged.remove(adopted);
      await onAdopted(adopted.map(({ hash }) => hash));
    });
  }

  /** A file that somebody took away from the incoming folder is not staged; it has to come again. */
  async #adopt(files: readonly StagedFile[]): Promise<readonly StagedFile[]> {
    try {
      await this.#components.library.adoptFiles(files);
      return files;
    } catch (error) {
      const details = error instanceof WaybillError ? error.details : undefined;
      if (details?.code !== 'FILE_NOT_HELD') throw error;
      const { fileHash } = details;
      this.#components.logger.warn({ fileHash }, 'Staged file is gone from the incoming folder');
      this.#components.staged.remove([{ hash: fileHash }]);
      return this.#adopt(files.filter(({ hash }) => hash !== fileHash));
    }
  }
}
