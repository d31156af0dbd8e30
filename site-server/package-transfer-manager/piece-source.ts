import { Worker } from 'node:worker_threads';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { type ContentItem, itemKey } from './content-item.ts';

export interface PieceSourceConfig {
  readonly fileLibraryDirectory: string;
  /** Encoded messages kept for other transfers of the same package, in bytes. */
  readonly cacheBytesMax: number;
  /** Files the reader keeps open. */
  readonly openFilesMax: number;
}

/** A message to be put on the wire. */
export interface EncodedMessage {
  readonly bytes: Buffer;
  /** To be called when the DP has acknowledged it: its memory is used again. */
  readonly done: () => void;
}

interface CachedMessage {
  readonly bytes: Promise<Buffer>;
  sizeBytes: number;
}

type Reply =
  | { readonly id: number; readonly bytes: Uint8Array }
  | { readonly id: number; readonly failure: { readonly code: string; readonly message: string } };

interface PendingRead {
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Reads content and encodes it, once for all transfers that want it: transfers of one package run
 * in step often enough that a small cache of recent messages serves all of them. Called by push
 * transfers; stores nothing.
 */
export class PieceSource implements Component {
  readonly #config: PieceSourceConfig;
  readonly #pending = new Map<number, PendingRead>();
  /** Oldest first. */
  readonly #cache = new Map<string, CachedMessage>();
  readonly #readersOf = new Map<string, number>();
  #cachedBytes = 0;
  #worker: Worker | undefined;
  #nextId = 1;

  constructor(config: PieceSourceConfig) {
    this.#config = config;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#failAll(new DOMException('The piece source was stopped', 'AbortError'));
  }

  /** Tells that a transfer of this package has begun; call the result when it has ended. */
  join(packageId: string): () => void {
    this.#readersOf.set(packageId, (this.#readersOf.get(packageId) ?? 0) + 1);
    return () => {
      const count = (this.#readersOf.get(packageId) ?? 1) - 1;
      if (count > 0) this.#readersOf.set(packageId, count);
      else this.#readersOf.delete(packageId);
      if (this.#readersOf.size === 0) this.#evict(0);
    };
  }

  /**
   * The encoded message of an item.
   *
   * @throws FILE_NOT_HELD when the library lost a file
   */
  async message(packageId: string, item: ContentItem): Promise<EncodedMessage> {
    if ((this.#readersOf.get(packageId) ?? 0) < 2) {
      const bytes = await this.#read(item);
      return { bytes, done: () => this.#reuse(bytes) };
    }
    // Nobody knows when the last transfer is done with a shared message; it is left to the collector.
    return { bytes: await this.#shared(item), done: () => {} };
  }

  /** Closes a file that no transfer reads any more. */
  forget(hash: string): void {
    this.#worker?.postMessage({ kind: 'forget', hash });
  }

  async #shared(item: ContentItem): Promise<Buffer> {
    const key = itemKey(item);
    const cached = this.#cache.get(key);
    if (cached) return cached.bytes;
    const entry: CachedMessage = { bytes: this.#read(item), sizeBytes: 0 };
    this.#cache.set(key, entry);
    try {
      entry.sizeBytes = (await entry.bytes).buffer.byteLength;
    } catch (error) {
      this.#cache.delete(key);
      throw error;
    }
    this.#cachedBytes += entry.sizeBytes;
    this.#evict(this.#config.cacheBytesMax);
    return entry.bytes;
  }

  #reuse({ buffer }: Buffer): void {
    const memory = buffer as ArrayBuffer;
    this.#worker?.postMessage({ kind: 'reuse', memory }, [memory]);
  }

  #evict(bytesMax: number): void {
    for (const [key, entry] of this.#cache) {
      if (this.#cachedBytes <= bytesMax) return;
      if (entry.sizeBytes === 0) continue;
      this.#cache.delete(key);
      this.#cachedBytes -= entry.sizeBytes;
    }
  }

  async #read(item: ContentItem): Promise<Buffer> {
    const id = this.#nextId++;
    const worker = this.#running();
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject });
        worker.postMessage({ kind: 'encode', id, item });
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      const fileHash = item.kind === 'piece' ? item.file.hash : (item.files[0]?.hash ?? '');
      throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash }, { cause: error });
    }
  }

  #running(): Worker {
    if (this.#worker) return this.#worker;
    const { fileLibraryDirectory, openFilesMax } = this.#config;
    const worker = new Worker(new URL('./read-worker.js', import.meta.url), {
      workerData: { fileLibraryDirectory, openFilesMax },
    });
    worker.on('message', (reply: Reply) => this.#onReply(reply));
    worker.on('error', (error) => this.#onLost(worker, error));
    worker.on('exit', () => this.#onLost(worker, new Error('The read worker ended')));
    this.#worker = worker;
    return worker;
  }

  #onReply(reply: Reply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if ('failure' in reply) {
      const { code, message } = reply.failure;
      pending?.reject(Object.assign(new Error(message), { code }));
      return;
    }
    const { buffer, byteOffset, byteLength } = reply.bytes;
    pending?.resolve(Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength));
  }

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
}
