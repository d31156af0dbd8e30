import { frameMemoryBytes } from './content-message.ts';

/** Frames kept for the next messages; more were on their way at once only for a moment. */
const spareFramesMax = 64;

/** An encoded message, and what gives its memory back once nobody reads it any more. */
export interface Frame {
  readonly bytes: Buffer;
  readonly release: () => void;
}

/**
 * Memory of the messages that are on their way, used again and again: made anew for each, it would
 * keep the garbage collector running.
 */
export class FramePool {
  readonly #spare: ArrayBuffer[] = [];

  /** Memory of the frames that are kept. */
  get spareBytes(): number {
    return this.#spare.length * frameMemoryBytes;
  }

  take(): ArrayBuffer {
    return this.#spare.pop() ?? new ArrayBuffer(frameMemoryBytes);
  }

  /** Nobody reads or writes this memory any more. */
  give(memory: ArrayBuffer): void {
    if (this.#spare.length < spareFramesMax) this.#spare.push(memory);
  }

  /** The first bytes of this memory as a message; its release gives the memory back. */
  frame(memory: ArrayBuffer, lengthBytes: number): Frame {
    return {
      bytes: Buffer.from(memory, 0, lengthBytes),
      release: () => this.give(memory),
    };
  }

  /** Lets go of what is not in use. */
  rest(): void {
    this.#spare.length = 0;
  }
}
