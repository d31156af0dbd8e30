import type { Worker } from 'node:worker_threads';
import { AbortError } from './abort-error.ts';
import { startWorkerThread } from './worker-thread.ts';

/** What goes to the thread. */
export interface ThreadRequest<Request> {
  readonly id: number;
  readonly request: Request;
}

/** What comes back, in any order. */
export type ThreadReply<Result> =
  | { readonly id: number; readonly result: Result }
  | { readonly id: number; readonly failure: { readonly code: string; readonly message: string } };

/** What a thread client needs. */
export interface ThreadClientOptions {
  /** What the thread runs: `serveThread`. */
  readonly program: URL;
  readonly workerData: unknown;
  /** What the thread is called in failures, such as "read worker". */
  readonly name: string;
  /** Called when the thread died: what it had in hand is gone. */
  readonly onLost?: () => void;
}

interface PendingRequest<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/**
 * The event loop's side of a worker thread: one promise for each request, many in flight. The
 * thread begins with the first one; one that died is replaced by the next.
 */
export class ThreadClient<Request, Result> {
  readonly #options: ThreadClientOptions;
  readonly #pending = new Map<number, PendingRequest<Result>>();
  #worker: Worker | undefined;
  #nextId = 1;
  #isStopped = false;

  constructor(options: ThreadClientOptions) {
    this.#options = options;
  }

  /**
   * @param transfer memory handed over instead of copied; the caller must not use it again
   * @throws Error with the code and message of the thread's failure; AbortError once stopped
   */
  async ask(request: Request, transfer: readonly ArrayBuffer[] = []): Promise<Result> {
    if (this.#isStopped) throw this.#stopped();
    const id = this.#nextId++;
    const worker = this.#running();
    return new Promise<Result>((resolve, reject) => {
      worker.postMessage({ id, request } satisfies ThreadRequest<Request>, transfer);
      this.#pending.set(id, { resolve, reject });
    });
  }

  /** Ends the thread; what was asked and not answered fails with AbortError. Safe twice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#failAll(this.#stopped());
  }

  #running(): Worker {
    if (this.#worker) return this.#worker;
    const { program, workerData, name } = this.#options;
    const worker = startWorkerThread(program, workerData);
    worker.on('message', (reply: ThreadReply<Result>) => this.#onReply(reply));
    worker.on('error', (error) => this.#onLost(worker, error));
    worker.on('exit', () => this.#onLost(worker, new Error(`The ${name} ended`)));
    this.#worker = worker;
    return worker;
  }

  #onReply(reply: ThreadReply<Result>): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if ('result' in reply) {
      pending?.resolve(reply.result);
      return;
    }
    const { code, message } = reply.failure;
    pending?.reject(Object.assign(new Error(message), { code }));
  }

  #onLost(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#options.onLost?.();
    this.#failAll(error);
  }

  #failAll(error: Error): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }

  #stopped(): AbortError {
    return new AbortError(`The ${this.#options.name} was stopped`);
  }
}
