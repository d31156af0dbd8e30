import { Worker } from 'node:worker_threads';
import { WaybillError } from '../../shared/domain/errors.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { type ContentItem, itemKey } from './content-item.ts';
import { FramePool } from './frame-pool.ts';
import type { ReadReply, ReadRequest } from './read-worker.ts';

export interface PieceSourceConfig {
  readonly fileLibraryDirectory: string;
  /** Encoded messages kept for other transfers of the same package, in bytes. */
  readonly cacheBytesMax: number;
  /** Files the reader keeps open. */
  readonly openFilesMax: number;
  /** What the reading thread runs. @default the read worker */
  readonly program?: URL;
}

/** A message to be put on the wire. */
export interface EncodedMessage {
  readonly bytes: Buffer;
  /** To be called once, when the transport needs it no more: its memory is used again. */
  readonly done: () => void;
}

/** A message that several transfers send. */
interface SharedMessage {
  readonly bytes: Promise<Buffer>;
  /** Memory it takes; 0 until it is read. */
  sizeBytes: number;
  /** Transfers that have it now. */
  userCount: number;
  isCached: boolean;
}

interface PendingRead {
  readonly memory: SharedArrayBuffer;
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
  readonly #program: URL;
  readonly #pending = new Map<number, PendingRead>();
  /** Oldest first. */
  readonly #cache = new Map<string, SharedMessage>();
  readonly #frames = new FramePool();
  readonly #readersOf = new Map<string, number>();
  #cachedBytes = 0;
  #worker: Worker | undefined;
  #nextId = 1;
  #isStopped = false;

  constructor(config: PieceSourceConfig) {
    this.#config = config;
    this.#program = config.program ?? new URL('./read-worker.js', import.meta.url);
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#isStopped = true;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    this.#failAll(stopped());
  }

  /** Bytes of the messages kept now. */
  get cachedBytes(): number {
    return this.#cachedBytes;
  }

  /** Tells that a transfer of this package has begun; call the result, once, when it has ended. */
  join(packageId: string): () => void {
    this.#readersOf.set(packageId, this.#readerCount(packageId) + 1);
    return () => {
      const left = this.#readerCount(packageId) - 1;
      if (left > 0) this.#readersOf.set(packageId, left);
      else this.#readersOf.delete(packageId);
      if (this.#readersOf.size === 0) this.#rest();
    };
  }

  /**
   * The encoded message of an item. Others may get the same bytes: they must not be changed.
   *
   * @throws FILE_NOT_HELD when the library lost a file; AbortError once stopped
   */
  async message(packageId: string, item: ContentItem): Promise<EncodedMessage> {
    if (this.#readerCount(packageId) < 2) {
      const bytes = await this.#read(item);
      return { bytes, done: () => this.#reuse(bytes) };
    }
    return this.#shared(item);
  }

  async #shared(item: ContentItem): Promise<EncodedMessage> {
    const key = itemKey(item);
    const entry = this.#cache.get(key) ?? this.#cached(key, item);
    entry.userCount += 1;
    const bytes = await entry.bytes;
    return {
      bytes,
      done: () => {
        entry.userCount -= 1;
        if (entry.userCount === 0 && !entry.isCached) this.#reuse(bytes);
      },
    };
  }

  #cached(key: string, item: ContentItem): SharedMessage {
    const bytes = this.#read(item);
    const entry: SharedMessage = { bytes, sizeBytes: 0, userCount: 0, isCached: true };
    this.#cache.set(key, entry);
    bytes.then(
      ({ buffer }) => {
        entry.sizeBytes = buffer.byteLength;
        this.#cachedBytes += entry.sizeBytes;
        this.#evict(this.#readersOf.size === 0 ? 0 : this.#config.cacheBytesMax);
      },
      () => this.#cache.delete(key),
    );
    return entry;
  }

  #reuse({ buffer }: Buffer): void {
    this.#frames.give(buffer as unknown as SharedArrayBuffer);
  }

  #readerCount(packageId: string): number {
    return this.#readersOf.get(packageId) ?? 0;
  }

  /** Nobody reads: nothing is kept in memory, and no file open. */
  #rest(): void {
    this.#evict(0);
    this.#frames.rest();
    this.#worker?.postMessage({ kind: 'rest' } satisfies ReadRequest);
  }

  #evict(bytesMax: number): void {
    for (const [key, entry] of this.#cache) {
      if (this.#cachedBytes <= bytesMax) return;
      if (entry.sizeBytes === 0) continue;
      this.#cache.delete(key);
      this.#cachedBytes -= entry.sizeBytes;
      entry.isCached = false;
      if (entry.userCount === 0) void entry.bytes.then((bytes) => this.#reuse(bytes));
    }
  }

  async #read(item: ContentItem): Promise<Buffer> {
    if (this.#isStopped) throw stopped();
    const id = this.#nextId++;
    const worker = this.#running();
    return new Promise<Buffer>((resolve, reject) => {
      const memory = this.#frames.take();
      worker.postMessage({ kind: 'encode', id, item, memory } satisfies ReadRequest);
      this.#pending.set(id, { memory, resolve, reject });
    });
  }

  #running(): Worker {
    if (this.#worker) return this.#worker;
    const { fileLibraryDirectory, openFilesMax } = this.#config;
    const workerData = { fileLibraryDirectory, openFilesMax };
    const worker = new Worker(this.#program, { workerData });
    worker.on('message', (reply: ReadReply) => this.#onReply(reply));
    worker.on('error', (error) => this.#onLost(worker, error));
    worker.on('exit', () => this.#onLost(worker, new Error('The read worker ended')));
    this.#worker = worker;
    return worker;
  }

  #onReply(reply: ReadReply): void {
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (!pending) return;
    if ('length' in reply) {
      pending.resolve(Buffer.from(pending.memory, 0, reply.length));
      return;
    }
    this.#frames.give(pending.memory);
    if ('lostHash' in reply) {
      pending.reject(new WaybillError({ code: 'FILE_NOT_HELD', fileHash: reply.lostHash }));
    } else {
      const { code, message } = reply.failure;
      pending.reject(Object.assign(new Error(message), { code }));
    }
  }

  /** The next read starts another thread. */
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

function stopped(): AbortError {
  return new AbortError('The piece source was stopped');
}
