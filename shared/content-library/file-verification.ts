import { throwIfAborted } from '../runtime/abort-error.ts';
import type { Logger } from '../runtime/logger.ts';
import type { FileLibrary } from './file-library.ts';
import type { HeldFile } from './library-tasks.ts';
import type { TaskThreads } from './task-threads.ts';
import type { VerifyFinding, VerifyInput } from './verify-worker.ts';

/** What verification needs. */
export interface FileVerificationParts {
  readonly files: FileLibrary;
  readonly fileLibrary: string;
  readonly threads: TaskThreads;
  /** The library stops: what is hashed is left. */
  readonly stopping: AbortSignal;
  readonly logger: Logger;
}

/**
 * Hashes files of the library that nobody has hashed since this process began, in a thread, and
 * takes away those whose bytes are not the ones their hash promises: a disk may lose what was
 * verified once. Whoever wants such a file then finds it missing, and brings it again.
 */
export class FileVerification {
  readonly #parts: FileVerificationParts;

  constructor(parts: FileVerificationParts) {
    this.#parts = parts;
  }

  /**
   * Hashes files, whatever is known of them. Those that are not here are fine.
   *
   * @returns the hashes of those that were damaged and are gone now
   * @throws AbortError
   */
  async discardDamaged(files: readonly HeldFile[], signal?: AbortSignal): Promise<string[]> {
    const discarded: string[] = [];
    for (let rest = files; rest.length > 0; ) {
      const suspects = await this.#damagedOf(rest, signal);
      const removed = await this.#parts.files.removeDamaged(suspects);
      for (const fileHash of removed) {
        this.#parts.logger.error({ fileHash }, 'File of the library was damaged and was discarded');
      }
      discarded.push(...removed);
      // Another file stands there by now, or this one was touched: it is looked at again.
      rest = suspects.filter(({ hash }) => !removed.includes(hash));
    }
    return discarded;
  }

  async #damagedOf(files: readonly HeldFile[], signal: AbortSignal | undefined) {
    const findings = await this.#hash(files, signal);
    return files.flatMap((file, index) => {
      const finding = findings[index];
      if (finding === 'right') this.#parts.files.verified.add(file.hash);
      return typeof finding === 'object' ? [{ ...file, identity: finding.damagedIdentity }] : [];
    });
  }

  async #hash(
    files: readonly HeldFile[],
    signal: AbortSignal | undefined,
  ): Promise<VerifyFinding[]> {
    const { fileLibrary, threads, stopping } = this.#parts;
    const plain = files.map(({ hash, sizeBytes }) => ({ hash, sizeBytes }));
    const input: VerifyInput = { fileLibrary, files: plain };
    const program = new URL('./verify-worker.js', import.meta.url);
    const either = AbortSignal.any([stopping, ...(signal ? [signal] : [])]);
    const options = { onMessage: () => {}, signal: either };
    try {
      return await threads.run<VerifyFinding[], never>(program, input, options);
    } catch (error) {
      // A thread that was ended says only that.
      throwIfAborted(either);
      throw error;
    }
  }
}
