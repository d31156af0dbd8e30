import { messageBytesMax } from './rpc-limits.ts';

/** How a stream of gRPC messages stands. */
export interface MessageProgress {
  /** Whole messages so far. */
  readonly messageCount: number;
  /** Bytes of the message that is on its way; 0 between two. */
  readonly begunBytes: number;
  /** Pieces it has come in so far. */
  readonly partCount: number;
}

/** Flag and length in front of each message. */
export const headBytes = 5;

/**
 * Follows the messages of one call by what is in front of each, beside gRPC's own decoder, which
 * tells of whole messages only: so that one that never ends, or comes in crumbs, is seen.
 */
export class MessageWatch implements MessageProgress {
  messageCount = 0;
  begunBytes = 0;
  partCount = 0;
  #isCompressed = false;
  #isTooLong = false;
  #length = 0;

  /** Whether a message said that it is compressed. */
  get isCompressed(): boolean {
    return this.#isCompressed;
  }

  /** Whether a message said that it is longer than can be. */
  get isTooLong(): boolean {
    return this.#isTooLong;
  }

  /** Takes what has come. @returns how many messages it has completed */
  take(chunk: Uint8Array): number {
    const before = this.messageCount;
    this.partCount += 1;
    for (let at = 0; at < chunk.length; ) {
      at = this.begunBytes < headBytes ? this.#takeHead(chunk, at) : this.#takeBody(chunk, at);
      if (this.begunBytes === headBytes + this.#length) this.#end();
    }
    return this.messageCount - before;
  }

  #takeHead(chunk: Uint8Array, at: number): number {
    const byte = chunk[at] ?? 0;
    if (this.begunBytes === 0) {
      this.#isCompressed ||= byte !== 0;
      this.#length = Number.POSITIVE_INFINITY;
    } else {
      const known = this.begunBytes === 1 ? 0 : this.#length;
      this.#length = known * 256 + byte;
    }
    this.begunBytes += 1;
    if (this.begunBytes === headBytes) this.#isTooLong ||= this.#length > messageBytesMax;
    return at + 1;
  }

  #takeBody(chunk: Uint8Array, at: number): number {
    const count = Math.min(chunk.length - at, headBytes + this.#length - this.begunBytes);
    this.begunBytes += count;
    return at + count;
  }

  #end(): void {
    this.messageCount += 1;
    this.begunBytes = 0;
    this.partCount = 1;
  }
}
