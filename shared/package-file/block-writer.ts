import { closeSync, fsyncSync, openSync } from 'node:fs';
import { ContentHash } from '../content-library/content-hash.ts';
import { toWriteFailure } from '../content-library/library-failure.ts';
import { WorkerPool } from '../content-library/worker-pool.ts';
import { writeFully } from '../content-library/write-fully.ts';
import type { BlockTasks } from './block-tasks.ts';
import { blockBytes, blockHeadBytes } from './package-file-format.ts';

/** Threads that pack, and blocks that are with them or wait to be written. */
const packersMax = 2;
const blocksInFlightMax = 4;

/** A package file in the making: cuts raw bytes in blocks, has them packed, writes them in order. */
export class BlockWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #level: number;
  readonly #descriptor: number;
  readonly #startBytes: number;
  readonly #pool = new WorkerPool<BlockTasks>(
    new URL('./block-worker.js', import.meta.url),
    packersMax,
  );
  readonly #hash = new ContentHash();
  #block: Buffer = newBlock();
  /** Memory of blocks that are written: it is used again. */
  readonly #free: Buffer[] = [];
  #filled = 0;
  #writtenBytes = 0;
  readonly #inFlight: Promise<void>[] = [];

  /** @param startBytes left free at the beginning of the file, for somebody else */
  constructor(path: string, level: number, startBytes = 0) {
    this.#path = path;
    this.#level = level;
    this.#startBytes = startBytes;
    this.#descriptor = openSync(path, 'w', 0o600);
  }

  /** What stands before the blocks, as it is. */
  writePlain(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#write(bytes);
  }

  /** Room in the block that is being filled, at least one byte; `commit` says how much was used. */
  get room(): Buffer {
    return this.#block.subarray(this.#filled);
  }

  /** The first bytes of `room` are taken. Waits when too many blocks are on their way. */
  async commit(bytes: number): Promise<void> {
    this.#filled += bytes;
    if (this.#filled === blockBytes) await this.#send();
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + this.room.length);
      this.room.set(part);
      done += part.length;
      await this.commit(part.length);
    }
  }

  /** Writes what is left; durable when this resolves. */
  async finish(): Promise<{ fileHash: string; fileBytes: number }> {
    if (this.#filled > 0) await this.#send();
    await Promise.all(this.#inFlight);
    fsyncSync(this.#descriptor);
    return { fileHash: this.#hash.digest(), fileBytes: this.#writtenBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.stop();
    await Promise.allSettled(this.#inFlight);
    closeSync(this.#descriptor);
  }

  async #send(): Promise<void> {
    const block = this.#block;
    const raw = block.subarray(0, this.#filled);
    this.#block = this.#free.pop() ?? newBlock();
    this.#filled = 0;
    const packing = this.#pool.run('pack', { raw, level: this.#level });
    const before = this.#inFlight.at(-1);
    const written = Promise.all([packing, before]).then(([packed]) => {
      this.#writeBlock(raw.length, packed ?? raw);
      this.#free.push(block);
    });
    written.catch(() => {
      // Met by whoever waits for it.
    });
    this.#inFlight.push(written);
    if (this.#inFlight.length >= blocksInFlightMax) await this.#inFlight.shift();
  }

  #writeBlock(rawBytes: number, packed: Uint8Array): void {
    const head = Buffer.alloc(blockHeadBytes);
    head.writeUInt32LE(rawBytes, 0);
    head.writeUInt32LE(packed.length, 4);
    this.writePlain(head);
    this.writePlain(packed);
  }

  #write(bytes: Uint8Array): void {
    try {
      writeFully(this.#descriptor, bytes, this.#startBytes + this.#writtenBytes);
    } catch (error) {
      throw toWriteFailure(error, this.#path, bytes.length);
    }
    this.#writtenBytes += bytes.length;
  }
}

/** Shared with the threads that pack: nothing of it is copied on the way. */
function newBlock(): Buffer {
  return Buffer.from(new SharedArrayBuffer(blockBytes));
}
