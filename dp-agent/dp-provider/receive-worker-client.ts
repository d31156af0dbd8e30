import { Worker } from 'node:worker_threads';
import { toWriteFailure } from '../../shared/content-library/library-failure.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import type { ReceiveReply, ReceiveRequest, ReceiveResult } from './receive-request.ts';

interface PendingRequest {
  readonly resolve: (result: ReceiveResult) => void;
  readonly reject: (error: Error) => void;
}

/** What the receive worker's client needs. */
export interface ReceiveWorkerClientOptions {
  /** The incoming folder, which exists. */
  readonly directory: string;
  /** Called when the worker died: the files it had open are not open any more. */
  readonly onLost: () => void;
  /** What the thread runs. @default the receive worker */
  readonly program?: URL;
}

/** The event loop's side of the receive worker: one promise for each request. */
export class ReceiveWorkerClient {
  readonly #options: ReceiveWorkerClientOptions;
  readonly #program: URL;
  readonly #pending = new Map<number, PendingRequest>();
  #worker: Worker | undefined;
  #nextId = 1;
  #isStopped = false;

  constructor(options: ReceiveWorkerClientOptions) {
    this.#options = options;
    this.#program = options.program ?? new URL('./receive-worker.js', import.meta.url);
  }

  /**
   * @param transfer buffers handed over instead of copied; the caller must not use them again
   * @throws DISK_FULL when the file system of the incoming folder is full; AbortError once stopped
   */
  async ask(
    request: ReceiveRequest,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<ReceiveResult> {
    if (this.#isStopped) throw stopped();
    const id = this.#nextId++;
    const worker = this.#running();
    try {
      return await new Promise<ReceiveResult>((resolve, reject) => {
        worker.postMessage({ id, request }, transfer);
        this.#pending.set(id, { resolve, reject });
      });
    } catch (error) {
      throw toWriteFailure(error, this.#options.directory, 1);
    }
  }

  /** Ends the thread; what was asked and not answered fails with AbortError. Safe twice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#failAll(stopped());
  }

  #running(): Worker {
    if (this.#worker) return this.#worker;
    const { directory } = this.#options;
    const worker = new Worker(this.#program, { workerData: { directory } });
    worker.on('message', (reply: ReceiveReply) => this.#onReply(reply));
    worker.on('error', (error) => this.#onLost(worker, error));
    worker.on('exit', () => this.#onLost(worker, new Error('The receive worker ended')));
    this.#worker = worker;
    return worker;
  }

  #onReply(reply: ReceiveReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if ('result' in reply) {
      pending?.resolve(reply.result);
      return;
    }
    const { code, message } = reply.failure;
    pending?.reject(Object.assign(new Error(message), { code }));
  }

  /** A worker that died takes its open files with it; the next request starts another. */
  #onLost(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#options.onLost();
    this.#failAll(error);
  }

  #failAll(error: Error): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }
}

function stopped(): AbortError {
  return new AbortError('The receive worker was stopped');
}
