import { pieceBytes } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import { AbortError } from '../runtime/abort-error.ts';
import type { Component } from '../runtime/component.ts';
import { ThreadClient } from '../runtime/thread-client.ts';
import { type ContentItem, itemKey, type SendableFile } from './content-item.ts';
import { frameMemoryBytes, pieceFrame } from './content-message.ts';
import { type Frame, FramePool } from './frame-pool.ts';
import { OpenLibraryFiles } from './open-library-files.ts';
import type { BatchRequest, BatchResult } from './read-worker.ts';

export interface PieceSourceConfig {
  readonly fileLibraryDirectory: string;
  /** Encoded messages kept for other readers of the same group, in bytes. */
  readonly cacheBytesMax: number;
  /** Files of several pieces kept open between two pieces. */
  readonly openFilesMax: number;
  /** What the thread that reads small files runs. @default the read worker */
  readonly program?: URL;
}

/** A message to be put on the wire. */
export interface EncodedMessage {
  readonly bytes: Buffer;
  /** To be called once, when the transport needs it no more: its memory is used again. */
  readonly done: () => void;
}

/** A message that several readers send. */
interface SharedMessage {
  readonly reading: Promise<Frame>;
  /** Once it is read: from then on its memory counts. */
  frame: Frame | undefined;
  /** Readers that have it now. */
  userCount: number;
  isCached: boolean;
}

/** Who reads the same content at about the same time: a package ID, or a symbol of one who is alone. */
export type ReaderGroup = string | symbol;

/**
 * Reads content and encodes it, as messages that push or that answer a fetch (content-message.ts),
 * once for all readers of a group: transfers of one package run in step often enough that a small
 * cache of recent messages serves all of them. Called by push transfers, and by the content server for
 * each fetch stream, which is a group of its own; stores nothing.
 */
export class PieceSource implements Component {
  readonly #config: PieceSourceConfig;
  readonly #openFiles: OpenLibraryFiles;
  readonly #worker: ThreadClient<BatchRequest, BatchResult>;
  readonly #frames = new FramePool();
  /** Oldest first. */
  readonly #cache = new Map<string, SharedMessage>();
  readonly #readersOf = new Map<ReaderGroup, number>();
  #cachedBytes = 0;
  #isStopped = false;

  constructor(config: PieceSourceConfig) {
    const { fileLibraryDirectory, openFilesMax } = config;
    this.#config = config;
    this.#openFiles = new OpenLibraryFiles(fileLibraryDirectory, openFilesMax);
    this.#worker = new ThreadClient({
      program: config.program ?? new URL('./read-worker.js', import.meta.url),
      workerData: { fileLibraryDirectory },
      name: 'read worker',
    });
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#openFiles.rest();
    await this.#worker.stop();
  }

  /** Bytes of the messages kept now. */
  get cachedBytes(): number {
    return this.#cachedBytes;
  }

  /** Memory that waits for the next messages, in bytes; that of messages on their way is not in it. */
  get spareBytes(): number {
    return this.#frames.spareBytes;
  }

  /** Tells that a reader of this group has begun; call the result, once, when it has ended. */
  join(group: ReaderGroup): () => void {
    this.#readersOf.set(group, this.#readerCount(group) + 1);
    return () => {
      const left = this.#readerCount(group) - 1;
      if (left > 0) this.#readersOf.set(group, left);
      else this.#readersOf.delete(group);
      if (this.#readersOf.size === 0) this.#rest();
    };
  }

  /** What was read is not to be sent again, and every file is to be found anew. */
  forgetRead(): void {
    for (const [key, entry] of this.#cache) this.#drop(key, entry);
    this.#openFiles.forgetAll();
  }

  /**
   * The encoded message of an item. Others may get the same bytes: they must not be changed.
   *
   * @throws FILE_NOT_HELD when the library lost a file; AbortError once stopped
   */
  async message(group: ReaderGroup, item: ContentItem): Promise<EncodedMessage> {
    if (this.#readerCount(group) >= 2) return this.#shared(item);
    const { bytes, release } = await this.#read(item);
    return { bytes, done: release };
  }

  async #shared(item: ContentItem): Promise<EncodedMessage> {
    const key = itemKey(item);
    const entry = this.#cache.get(key) ?? this.#cached(key, item);
    entry.userCount += 1;
    const { bytes, release } = await entry.reading;
    return {
      bytes,
      done: () => {
        entry.userCount -= 1;
        if (entry.userCount === 0 && !entry.isCached) release();
      },
    };
  }

  #cached(key: string, item: ContentItem): SharedMessage {
    const reading = this.#read(item);
    const entry: SharedMessage = { reading, frame: undefined, userCount: 0, isCached: true };
    this.#cache.set(key, entry);
    reading.then(
      (frame) => {
        entry.frame = frame;
        // It was forgotten while it was read: whoever waits for it has it, nobody else.
        if (!entry.isCached) return;
        this.#cachedBytes += frameMemoryBytes;
        this.#evict(this.#readersOf.size === 0 ? 0 : this.#config.cacheBytesMax);
      },
      () => {
        if (this.#cache.get(key) === entry) this.#cache.delete(key);
      },
    );
    return entry;
  }

  #readerCount(group: ReaderGroup): number {
    return this.#readersOf.get(group) ?? 0;
  }

  /** Nobody reads: nothing is kept in memory, and no file open. */
  #rest(): void {
    this.#evict(0);
    this.#frames.rest();
    this.#openFiles.rest();
  }

  #evict(bytesMax: number): void {
    for (const [key, entry] of this.#cache) {
      if (this.#cachedBytes <= bytesMax) return;
      if (entry.frame) this.#drop(key, entry);
    }
  }

  #drop(key: string, entry: SharedMessage): void {
    this.#cache.delete(key);
    entry.isCached = false;
    if (!entry.frame) return;
    this.#cachedBytes -= frameMemoryBytes;
    if (entry.userCount === 0) entry.frame.release();
  }

  async #read(item: ContentItem): Promise<Frame> {
    this.#throwIfStopped();
    return item.kind === 'piece' ? this.#readPiece(item) : this.#readBatch(item.files);
  }

  async #readPiece(item: Extract<ContentItem, { kind: 'piece' }>): Promise<Frame> {
    const { file, pieceIndex, sizeBytes } = item;
    const memory = this.#frames.take();
    const { bytes, rooms } = pieceFrame(memory, { hash: file.hash, pieceIndex, sizeBytes });
    const offset = rooms[0]?.offset ?? 0;
    const into = bytes.subarray(offset, offset + sizeBytes);
    try {
      await this.#openFiles.read(file, into, pieceIndex * pieceBytes);
      this.#throwIfStopped();
    } catch (error) {
      this.#frames.give(memory);
      throw error;
    }
    return this.#frames.frame(memory, bytes.length);
  }

  /** In a thread: opening thousands of small files would cost the event loop too much. */
  async #readBatch(files: readonly SendableFile[]): Promise<Frame> {
    const memory = this.#frames.take();
    const result = await this.#worker.ask({ files, memory }, [memory]);
    if ('length' in result) return this.#frames.frame(result.memory, result.length);
    this.#frames.give(result.memory);
    throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash: result.lostHash });
  }

  #throwIfStopped(): void {
    if (this.#isStopped) throw new AbortError('The piece source was stopped');
  }
}
