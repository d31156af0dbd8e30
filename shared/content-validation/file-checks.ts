import type { HeldFile } from '../content-library/library-tasks.ts';
import { bytesPerSecondMax, bytesPerSecondMin } from '../domain/transfer-controls.ts';
import type { Clock } from '../runtime/clock.ts';
import { ThreadClient } from '../runtime/thread-client.ts';
import { TransferArbiter } from '../transfer-arbiter/transfer-arbiter.ts';
import type { CheckedFile, CheckRequest, CheckResult } from './check-worker.ts';

/** What checking files needs. */
export interface FileChecksNeeds {
  readonly fileLibraryDirectory: string;
  readonly clock: Clock;
}

/** One reading at a time: a disk that serves others has none to spare. */
const passage = 'validation';
const alignmentBytes = 4096;

/**
 * Checks files of a library in a thread of low priority, no faster than is allowed: a limit is kept as
 * smoothly as one for what is sent. Stores nothing.
 */
export class FileChecks {
  readonly #arbiter: TransferArbiter;
  readonly #thread: ThreadClient<CheckRequest, CheckResult>;

  constructor({ fileLibraryDirectory, clock }: FileChecksNeeds) {
    this.#arbiter = new TransferArbiter(clock);
    this.#thread = new ThreadClient({
      program: new URL('./check-worker.js', import.meta.url),
      workerData: { fileLibraryDirectory },
      name: 'check worker',
    });
  }

  async stop(): Promise<void> {
    await this.#thread.stop();
  }

  /** How fast it goes from now on. */
  setRate(bytesPerSecond: number): void {
    const rate = Math.min(bytesPerSecondMax, Math.max(bytesPerSecondMin, bytesPerSecond));
    this.#arbiter.setControls(passage, { limit: { kind: 'rate', bytesPerSecond: rate } });
  }

  /**
   * Checks some files, in their order.
   *
   * @param onRead called with the bytes that were read, now and then
   * @throws AbortError as soon as the signal fires
   */
  async check(
    files: readonly HeldFile[],
    { signal, onRead }: { signal: AbortSignal; onRead: (bytes: number) => void },
  ): Promise<CheckedFile[]> {
    const permit = this.#arbiter.open([passage], 3);
    const checked: CheckedFile[] = [];
    let leftBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let next: readonly HeldFile[] = files;
    try {
      for (let isNew = true; checked.length < files.length; isNew = false) {
        const bytesMax = Math.min(permit.partBytes, roundedUp(leftBytes));
        await permit.take(bytesMax, signal);
        const result = await this.#thread.ask({ isNew, files: next, bytesMax });
        next = [];
        leftBytes -= result.readBytes;
        checked.push(...result.checked);
        onRead(result.readBytes);
      }
    } catch (error) {
      // What is half read is closed.
      this.#thread.ask({ isNew: true, files: [], bytesMax: alignmentBytes }).catch(() => {});
      throw error;
    } finally {
      permit.close();
    }
    return checked;
  }
}

/** Never 0: what has no bytes is looked at, too. */
function roundedUp(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / alignmentBytes)) * alignmentBytes;
}
