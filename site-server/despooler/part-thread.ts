import { toWriteFailure } from '../../shared/content-library/library-failure.ts';
import { ThreadClient } from '../../shared/runtime/thread-client.ts';
import type { PartRequest, PartResult } from './part-request.ts';

/** The thread that writes and hashes parts, from the outside. */
export class PartThread {
  readonly #directory: string;
  readonly #client: ThreadClient<PartRequest, PartResult>;

  /** @param onLost the thread has ended by itself: no part is open any more */
  constructor(directory: string, onLost: () => void) {
    this.#directory = directory;
    this.#client = new ThreadClient({
      program: new URL('./part-worker.js', import.meta.url),
      workerData: { directory },
      name: 'part worker',
      onLost,
    });
  }

  /** @param memory is given away with the request. @throws DISK_FULL */
  async ask(request: PartRequest, memory?: ArrayBuffer): Promise<PartResult> {
    try {
      return await this.#client.ask(request, memory ? [memory] : []);
    } catch (error) {
      throw toWriteFailure(error, this.#directory, 1);
    }
  }

  stop(): Promise<void> {
    return this.#client.stop();
  }
}
