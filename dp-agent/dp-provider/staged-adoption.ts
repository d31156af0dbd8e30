import { access } from 'node:fs/promises';
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

/** What may wait for the library. */
export interface StagedAdoptionConfig {
  /** Whole files that wait; when there are more, what arrives waits for them. */
  readonly stagedFilesMax: number;
  /** The same in bytes. */
  readonly stagedBytesMax: number;
}

/** Moves whole files into the library, many at a time, so that one sync serves them all. */
export class StagedAdoption {
  readonly #components: StagedAdoptionComponents;
  readonly #config: StagedAdoptionConfig;
  readonly #queue = new SerialQueue();
  #isAhead = false;

  constructor(components: StagedAdoptionComponents, config: StagedAdoptionConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Keeps what is staged within its limits: from half of them on it is taken over while more
   * arrives, and only at the whole of them the caller waits.
   *
   * @throws DISK_FULL
   */
  async adoptEnough(): Promise<void> {
    const { count, sizeBytes } = this.#components.staged;
    const { stagedFilesMax, stagedBytesMax } = this.#config;
    const fullness = Math.max(count / stagedFilesMax, sizeBytes / stagedBytesMax);
    if (fullness >= 1) await this.adoptAll();
    else if (fullness >= 0.5) this.#adoptAhead();
  }

  /** Resolves when nothing is being taken over any more. */
  whenIdle(): Promise<void> {
    return this.#queue.whenIdle();
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
      await onAdopted(adopted.map(({ hash }) => hash));
      staged.remove(adopted);
    });
  }

  #adoptAhead(): void {
    if (this.#isAhead) return;
    this.#isAhead = true;
    this.adoptAll()
      .catch((err: unknown) => {
        // What is staged still is met by whoever waits for it; what is not has to come again.
        this.#components.logger.warn({ err }, 'Files could not be taken over ahead of time');
      })
      .finally(() => {
        this.#isAhead = false;
      });
  }

  /** A file that somebody took away from the incoming folder is not staged; it has to come again. */
  async #adopt(files: readonly StagedFile[]): Promise<readonly StagedFile[]> {
    try {
      await this.#components.library.adoptFiles(files);
      return files;
    } catch (error) {
      const details = error instanceof WaybillError ? error.details : undefined;
      if (details?.code !== 'FILE_NOT_HELD') {
        await this.#unstageMissing(files);
        throw error;
      }
      const { fileHash } = details;
      this.#components.logger.warn({ fileHash }, 'Staged file is gone from the incoming folder');
      this.#components.staged.remove([{ hash: fileHash }]);
      return this.#adopt(files.filter(({ hash }) => hash !== fileHash));
    }
  }

  /** What the library took, or dropped since it could not be made durable, is not here any more. */
  async #unstageMissing(files: readonly StagedFile[]): Promise<void> {
    for (const file of files) {
      await access(file.path).catch(() => this.#components.staged.remove([file]));
    }
  }
}
