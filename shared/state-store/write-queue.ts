import type { Operation } from './database.ts';

interface WaitingWrite {
  readonly operations: readonly Operation[];
  readonly sync: boolean;
  readonly written: () => void;
  readonly failed: (error: unknown) => void;
}

/** Operations that share one batch, at most, unless one write alone has more. */
const groupOperationsMax = 10_000;

/**
 * One write at a time, in the order they were asked for. Those that wait share a batch, and so one
 * sync: many small promises cost little more than one.
 */
export class WriteQueue {
  readonly #writeGroup: (operations: Operation[], options: { sync: boolean }) => Promise<void>;
  #waiting: WaitingWrite[] = [];
  #running: Promise<void> | undefined;

  constructor(writeGroup: WriteQueue['write']) {
    this.#writeGroup = writeGroup;
  }

  /** Resolves when all operations are written; fails when the batch they share fails. */
  write(operations: readonly Operation[], options: { sync: boolean }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ operations, ...options, written: resolve, failed: reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing waits any more. */
  async whenIdle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      const operations = group.flatMap((write) => write.operations);
      try {
        await this.#writeGroup(operations, { sync: group.some((write) => write.sync) });
        for (const write of group) write.written();
      } catch (error) {
        for (const write of group) write.failed(error);
      }
    }
    this.#running = undefined;
  }

  #takeGroup(): WaitingWrite[] {
    let operationCount = 0;
    let end = 0;
    for (const write of this.#waiting) {
      operationCount += write.operations.length;
      if (end > 0 && operationCount > groupOperationsMax) break;
      end += 1;
    }
    return this.#waiting.splice(0, end);
  }
}
