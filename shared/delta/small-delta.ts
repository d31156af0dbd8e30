import type { DeltaSubject } from './delta-format.ts';
import { encodeHeader, FrameBuilder } from './delta-format.ts';
import type { ByteSource } from './delta-reader.ts';
import { scanForDelta } from './delta-scan.ts';

/** Bytes in memory, read from any position. */
export class MemoryBytes implements ByteSource {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  read(position: number, lengthBytes: number): Uint8Array {
    return this.#bytes.subarray(position, position + lengthBytes);
  }
}

/**
 * Makes deltas between files in memory, of the same form as any, but not packed: many of them are
 * packed together. One maker for many files: its memory is used again. Blocks.
 */
export class SmallDeltaMaker {
  readonly #frame = new FrameBuilder({ isPacked: false });

  /** @returns undefined when more than half of the file is not in the base */
  make(subject: DeltaSubject, base: Uint8Array, file: Uint8Array): Buffer | undefined {
    const frame = this.#frame;
    const parts = [encodeHeader(subject)];
    const flush = () => parts.push(frame.take() ?? Buffer.alloc(0));
    const sink = {
      insert: (bytes: Uint8Array) => {
        for (let taken = 0; taken < bytes.length; ) {
          taken += frame.insert(bytes.subarray(taken));
          if (frame.isFull) flush();
        }
      },
      copy: (offset: number, lengthBytes: number) => {
        frame.copy(offset, lengthBytes);
        if (frame.isFull) flush();
      },
    };
    const goesOn = (_: number, literalBytes: number) => literalBytes <= file.length / 2;
    const [baseBytes, fileBytes] = [new MemoryBytes(base), new MemoryBytes(file)];
    const isDone = scanForDelta({ base: baseBytes, file: fileBytes, sink, goesOn });
    // Whatever was begun must not stand in the next one.
    flush();
    return isDone ? Buffer.concat(parts) : undefined;
  }
}
