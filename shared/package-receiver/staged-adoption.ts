import { access } from 'node:fs/promises';
import type { ContentLibrary } from '../content-library/content-library.ts';
import { WaybillError } from '../domain/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { StagedAmount, StagedFile, StagedFiles } from './staged-files.ts';

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
  /** Whole files not in the library yet; when there are more, what arrives waits for them. */
  readonly stagedFilesMax: number;
  /** The same in bytes. */
  readonly stagedBytesMax: number;
}

/** Adoptions that go on at once: one waits for the disk while the other one renames. */
const adoptionsMax = 2;

/** Moves whole files into the library, many at a time, so that one sync serves them all. */
export class StagedAdoption {
  readonly #components: StagedAdoptionComponents;
  readonly #config: StagedAdoptionConfig;
  readonly #running = new Set<Promise<void>>();

  constructor(components: StagedAdoptionComponents, config: StagedAdoptionConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Keeps what is staged within its limits: from a quarter of them on it is taken over while more
   * arrives, and only at the whole of them the caller waits for what is being taken over.
   *
   * @throws DISK_FULL
   */
  async adoptEnough(): Promise<void> {
    const { staged, logger } = this.#components;
    if (this.#fullness(staged.waiting) >= 0.25 && this.#running.size < adoptionsMax) {
      this.#begin().catch((err: unknown) => {
        // What is staged still is met by whoever waits for it; what is not has to come again.
        logger.warn({ err }, 'Files could not be taken over ahead of time');
      });
    }
    if (this.#fullness(staged.all) >= 1) await Promise.race(this.#running);
  }

  /** Resolves when nothing is being taken over any more. */
  async whenIdle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  /**
   * Takes over what is staged now. What was just verified may always replace what lies in the
   * library: a redistribution repairs so.
   *
   * @throws DISK_FULL
   */
  async adoptAll(): Promise<void> {
    const ahead = [...this.#running];
    const rest = this.#begin();
    const ends = await Promise.allSettled(ahead);
    await rest;
    if (ends.every(({ status }) => status === 'fulfilled')) return;
    // What failed ahead of time waits again, unless somebody else has it in hand by now.
    await Promise.all([this.#begin(), ...this.#running]);
  }

  #fullness({ count, sizeBytes }: StagedAmount): number {
    const { stagedFilesMax, stagedBytesMax } = this.#config;
    return Math.max(count / stagedFilesMax, sizeBytes / stagedBytesMax);
  }

  /** Begins to take over what waits. */
  #begin(): Promise<void> {
    const adoption = this.#adoptWaiting().finally(() => this.#running.delete(adoption));
    this.#running.add(adoption);
    // Who waits for it meets its failure; nobody has to.
    adoption.catch(() => {});
    return adoption;
  }

  async #adoptWaiting(): Promise<void> {
    const { staged, onAdopted } = this.#components;
    const files = staged.take();
    if (files.length === 0) return;
    try {
      const adopted = await this.#adopt(files);
      await onAdopted(adopted.map(({ hash }) => hash));
      staged.remove(adopted);
    } finally {
      staged.putBack(files);
    }
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
