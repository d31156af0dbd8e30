import type { Worker } from 'node:worker_threads';
import { throwIfAborted } from '../runtime/abort-error.ts';
import { startWorkerThread } from '../runtime/worker-thread.ts';
import { fromThreadFailure, type ThreadFailure } from './thread-failure.ts';

/** A long task on its way to its thread. */
export interface ThreadTaskStart {
  readonly input: unknown;
  /** Numbers both threads see: whether the task is aborted, and how many messages are handled. */
  readonly shared: Int32Array;
}

/** Places in `ThreadTaskStart.shared`. */
export const sharedIndex = { aborted: 0, handled: 1 } as const;

/** What a thread says. */
export type FromThread =
  | { readonly type: 'message'; readonly message: unknown }
  | { readonly type: 'result'; readonly result: unknown }
  | { readonly type: 'failure'; readonly failure: ThreadFailure };

/** How a task is followed. */
export interface ThreadTaskOptions<Message> {
  /** Handles what the task sends; when it throws, the task is aborted and fails with that. */
  readonly onMessage: (message: Message) => Promise<void> | void;
  readonly signal?: AbortSignal | undefined;
}

/** Idle threads kept of one program: the next task then begins at once. */
const idleMax = 1;

/** Runs long tasks, each in a thread of its own, which is used again. */
export class TaskThreads {
  readonly #idle = new Map<string, Worker[]>();
  readonly #busy = new Set<Worker>();
  #isStopped = false;

  /**
   * Runs one task.
   *
   * @param program a module that calls `serveThreadTask`
   * @throws what the task throws, or AbortError
   */
  async run<Result, Message>(
    program: URL,
    input: unknown,
    options: ThreadTaskOptions<Message>,
  ): Promise<Result> {
    throwIfAborted(options.signal);
    if (this.#isStopped) throw new Error('The worker threads have been stopped');
    const worker = this.#idle.get(program.href)?.pop() ?? startWorkerThread(program);
    this.#busy.add(worker);
    worker.ref();
    const task = new ThreadTask<Message>(worker, options);
    try {
      return (await task.run(input)) as Result;
    } finally {
      this.#busy.delete(worker);
      await this.#park(program.href, worker, task.hasAnswered);
    }
  }

  /** Ends all threads; tasks that have not ended fail. Safe twice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const workers = [...this.#busy, ...[...this.#idle.values()].flat()];
    this.#idle.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  async #park(program: string, worker: Worker, isSound: boolean): Promise<void> {
    const idle = this.#idle.get(program) ?? [];
    if (this.#isStopped || !isSound || idle.length >= idleMax) {
      await worker.terminate();
      return;
    }
    // A thread without work does not keep the process alive.
    worker.unref();
    idle.push(worker);
    this.#idle.set(program, idle);
  }
}

/** One task in its thread, as seen from outside. */
class ThreadTask<Message> {
  readonly #worker: Worker;
  readonly #options: ThreadTaskOptions<Message>;
  readonly #shared = new Int32Array(new SharedArrayBuffer(8));
  readonly #handling: Promise<void>[] = [];
  /** The task has ended, well or not, and its thread is fit for another. */
  hasAnswered = false;
  #handlerFailure: { readonly error: unknown } | undefined;

  constructor(worker: Worker, options: ThreadTaskOptions<Message>) {
    this.#worker = worker;
    this.#options = options;
  }

  async run(input: unknown): Promise<unknown> {
    const { signal } = this.#options;
    signal?.addEventListener('abort', this.#abort, { once: true });
    try {
      return await this.#answer(input);
    } catch (error) {
      throw this.#handlerFailure ? this.#handlerFailure.error : error;
    } finally {
      signal?.removeEventListener('abort', this.#abort);
      // One by one: Node hears some events of a worker by itself.
      for (const event of ['message', 'error', 'exit']) this.#worker.removeAllListeners(event);
      // An idle thread has nothing to fail in; were it to, the process must not end for it.
      this.#worker.on('error', () => {});
    }
  }

  #answer(input: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#worker.on('message', (said: FromThread) => {
        if (said.type === 'message') this.#handling.push(this.#handle(said.message as Message));
        else {
          this.hasAnswered = true;
          const end = () => {
            if (this.#handlerFailure) reject(this.#handlerFailure.error as Error);
            else if (said.type === 'result') resolve(said.result);
            else reject(fromThreadFailure(said.failure));
          };
          Promise.all(this.#handling).then(end, reject);
        }
      });
      this.#worker.on('error', reject);
      this.#worker.on('exit', () => reject(new Error('A worker thread ended early')));
      this.#worker.postMessage({ input, shared: this.#shared } satisfies ThreadTaskStart);
    });
  }

  async #handle(message: Message): Promise<void> {
    try {
      await this.#options.onMessage(message);
    } catch (error) {
      this.#handlerFailure ??= { error };
      this.#abort();
    }
    Atomics.add(this.#shared, sharedIndex.handled, 1);
    Atomics.notify(this.#shared, sharedIndex.handled);
  }

  readonly #abort = (): void => {
    Atomics.store(this.#shared, sharedIndex.aborted, 1);
    Atomics.notify(this.#shared, sharedIndex.handled);
  };
}
