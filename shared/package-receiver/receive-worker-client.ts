import { toWriteFailure } from '../content-library/library-failure.ts';
import { ThreadClient } from '../runtime/thread-client.ts';
import type { ReceiveRequest, ReceiveResult } from './receive-request.ts';

/** What the receive worker's client needs. */
export interface ReceiveWorkerClientOptions {
  /** The incoming folder, which exists. */
  readonly directory: string;
  /** Called when the worker died: the files it had open are not open any more. */
  readonly onLost: () => void;
  /** What the thread runs. @default the receive worker */
  readonly program?: URL;
}

/** The event loop's side of the receive worker. */
export class ReceiveWorkerClient {
  readonly #directory: string;
  readonly #thread: ThreadClient<ReceiveRequest, ReceiveResult>;

  constructor({ directory, onLost, program }: ReceiveWorkerClientOptions) {
    this.#directory = directory;
    this.#thread = new ThreadClient({
      program: program ?? new URL('./receive-worker.js', import.meta.url),
      workerData: { directory },
      name: 'receive worker',
      onLost,
    });
  }

  /**
   * @param transfer buffers handed over instead of copied; the caller must not use them again
   * @throws DISK_FULL when the file system of the incoming folder is full; AbortError once stopped
   */
  async ask(
    request: ReceiveRequest,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<ReceiveResult> {
    try {
      return await this.#thread.ask(request, transfer);
    } catch (error) {
      throw toWriteFailure(error, this.#directory, 1);
    }
  }

  /** Ends the thread; what was asked and not answered fails with AbortError. Safe twice. */
  stop(): Promise<void> {
    return this.#thread.stop();
  }
}
