import { frameMemoryBytes } from './content-message.ts';

/** Frames kept for the next messages; more were on their way at once only for a moment. */
const spareFramesMax = 64;

/**
 * Memory of the messages that are on their way, used again and again. It is shared with the reading
 * thread instead of handed over: memory that changes threads counts as new each time, and the
 * garbage collector would run for every few dozen pieces.
 */
export class FramePool {
  readonly #spare: SharedArrayBuffer[] = [];

  take(): SharedArrayBuffer {
    return this.#spare.pop() ?? new SharedArrayBuffer(frameMemoryBytes);
  }

  /** Nobody reads or writes this memory any more. */
  give(memory: SharedArrayBuffer): void {
    if (this.#spare.length < spareFramesMax) this.#spare.push(memory);
  }

  /** Lets go of what is not in use. */
  rest(): void {
    this.#spare.length = 0;
  }
}
