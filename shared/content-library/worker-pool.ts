import type { Worker } from 'node:worker_threads';
import { startWorkerThread } from '../runtime/worker-thread.ts';
import { fromThreadFailure, type ThreadFailure } from './thread-failure.ts';

/** One task on its way to a worker thread. */
export interface PoolRequest {
  readonly id: number;
  readonly task: string;
  readonly input: unknown;
}

/** What became of it. */
export interface PoolAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: ThreadFailure;
}

// biome-ignore lint/suspicious/noExplicitAny: the input of each task is its own
type TaskTable = Record<string, (input: any) => unknown>;

interface QueuedTask {
  readonly request: PoolRequest;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A few worker threads that run tasks of a table, each one task at a time; more wait in order.
 * Threads begin with the first task. One that dies fails its task and is replaced.
 */
export class WorkerPool<Tasks extends TaskTable> {
  readonly #program: URL;
  readonly #workersMax: number;
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, QueuedTask>();
  readonly #queue: QueuedTask[] = [];
  #nextId = 0;
  #isStopped = false;

  /** @param program the module each thread runs: takes `PoolRequest`, answers `PoolAnswer` */
  constructor(program: URL, workersMax: number) {
    this.#program = program;
    this.#workersMax = workersMax;
  }

  /** Runs one task; throws what it throws. */
  run<T extends keyof Tasks & string>(
    task: T,
    input: Parameters<Tasks[T]>[0],
  ): Promise<ReturnType<Tasks[T]>> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped) throw new Error('The worker threads have been stopped');
      const request = { id: this.#nextId++, task, input };
      const settle = resolve as (result: unknown) => void;
      this.#queue.push({ request, resolve: settle, reject });
      this.#dispatch();
    });
  }

  /** Ends all threads; tasks that have not ended fail. Safe twice. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const workers = [...this.#idle.splice(0), ...this.#busy.keys()];
    for (const { reject } of [...this.#queue.splice(0), ...this.#busy.values()]) {
      reject(new Error('The worker threads have been stopped'));
    }
    this.#busy.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#idle.pop() ?? this.#startWorker();
      if (!worker) return;
      const task = this.#queue.shift();
      if (!task) return;
      this.#busy.set(worker, task);
      worker.ref();
      worker.postMessage(task.request);
    }
  }

  #startWorker(): Worker | undefined {
    if (this.#busy.size >= this.#workersMax) return undefined;
    const worker = startWorkerThread(this.#program);
    worker.on('message', (answer: PoolAnswer) => this.#finish(worker, answer));
    worker.on('error', (error) => this.#fail(worker, error));
    worker.on('exit', () => this.#fail(worker, new Error('A worker thread ended early')));
    return worker;
  }

  #finish(worker: Worker, answer: PoolAnswer): void {
    const task = this.#busy.get(worker);
    if (!task) return;
    this.#busy.delete(worker);
    // A thread without work does not keep the process alive.
    worker.unref();
    this.#idle.push(worker);
    if (answer.failure) task.reject(fromThreadFailure(answer.failure));
    else task.resolve(answer.result);
    this.#dispatch();
  }

  #fail(worker: Worker, error: Error): void {
    const index = this.#idle.indexOf(worker);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#busy.get(worker)?.reject(error);
    this.#busy.delete(worker);
    if (!this.#isStopped) this.#dispatch();
  }
}
