import { statfs } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { ReceiveReply, ReceiveRequest, ReceiveResult } from './receive-request.ts';

interface PendingRequest {
  readonly resolve: (result: ReceiveResult) => void;
  readonly reject: (error: Error) => void;
}

/** The event loop's side of the receive worker: one promise for each request. */
export class ReceiveWorkerClient {
  readonly #directory: string;
  readonly #pending = new Map<number, PendingRequest>();
  #worker: Worker | undefined;
  #nextId = 1;

  /** @param directory the incoming folder, which exists */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * @param transfer buffers handed over instead of copied; the caller must not use them again
   * @throws DISK_FULL when the file system of the incoming folder is full
   */
  async ask(
    request: ReceiveRequest,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<ReceiveResult> {
    const id = this.#nextId++;
    const worker = this.#running();
    try {
      return await new Promise<ReceiveResult>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject });
        worker.postMessage({ id, request }, transfer);
      });
    } catch (error) {
      throw await this.#explained(error);
    }
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#failAll(new DOMException('The receive worker was stopped', 'AbortError'));
  }

  #running(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./receive-worker.js', import.meta.url), {
      workerData: { directory: this.#directory },
    });
    worker.on('message', (reply: ReceiveReply) => this.#onReply(reply));
    worker.on('error', (error) => this.#onLost(worker, error));
    worker.on('exit', () => this.#onLost(worker, new Error('The receive worker ended')));
    this.#worker = worker;
    return worker;
  }

  #onReply(reply: ReceiveReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if ('result' in reply) pending?.resolve(reply.result);
    else
      pending?.reject(
        Object.assign(new Error(reply.failure.message), { code: reply.failure.code }),
      );
  }

  /** A worker that died takes its open files with it; the next request starts another. */
  #onLost(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#failAll(error);
  }

  #failAll(error: Error): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(error);
  }

  async #explained(error: unknown): Promise<unknown> {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
    const { bavail, bsize } = await statfs(this.#directory);
    return new WaybillError(
      { code: 'DISK_FULL', path: this.#directory, freeBytes: bavail * bsize, neededBytes: 1 },
      { cause: error },
    );
  }
}
