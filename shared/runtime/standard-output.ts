import type { Writable } from 'node:stream';

/** Lines that wait for a reader that does not read, in bytes; further ones are lost. */
const waitingBytesMax = 4 * 1024 * 1024;

/**
 * Standard output as a place for logs: when its reader has gone or its disk is full, lines are lost
 * and the process goes on.
 */
export class StandardOutput {
  readonly #stream: Writable;
  readonly #toForm: (line: string) => string;

  /** @param toForm what is printed of a line that ends with a newline; absent: the line itself */
  constructor(stream: Writable, toForm: (line: string) => string = (line) => line) {
    this.#stream = stream;
    this.#toForm = toForm;
    stream.on('error', () => {
      // Without a listener the process would end; lines in the log files tell the same.
    });
  }

  /** Writes one line; never throws. */
  write(line: string): void {
    if (this.#stream.destroyed || this.#stream.writableLength > waitingBytesMax) return;
    this.#stream.write(this.#toForm(line));
  }
}
