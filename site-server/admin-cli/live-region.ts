import { sizeOf, type TextStream } from './text-stream.ts';
import { cutToWidth, widthOf } from './text-width.ts';

const hideCursor = '\u001b[?25l';
const showCursor = '\u001b[?25h';
const clearToEndOfLine = '\u001b[K';
const clearBelow = '\u001b[J';

/** The last lines of a terminal, drawn again in place. */
export class LiveRegion {
  readonly #stream: TextStream;
  #drawn: readonly string[] = [];
  #isOpen = false;

  constructor(stream: TextStream) {
    this.#stream = stream;
  }

  /** Replaces what was drawn. Lines that do not fit are cut; so are those below the last row. */
  draw(lines: readonly string[]): void {
    const { columns, rows } = sizeOf(this.#stream);
    // The last row stays free for the cursor: with it the terminal would scroll.
    const fitting = lines.slice(0, Math.max(1, rows - 1)).map((line) => cutToWidth(line, columns));
    const opening = this.#isOpen ? '' : hideCursor;
    const body = fitting.map((line) => `${line}${clearToEndOfLine}\n`).join('');
    this.#stream.write(`${opening}${this.#upToBeginning()}${body}${clearBelow}`);
    this.#drawn = fitting;
    this.#isOpen = true;
  }

  /** Takes away what was drawn and gives the terminal back. */
  clear(): void {
    if (!this.#isOpen) return;
    this.#stream.write(`${this.#upToBeginning()}${clearBelow}${showCursor}`);
    this.#close();
  }

  /** Leaves what was drawn on the screen and gives the terminal back. */
  leave(): void {
    if (!this.#isOpen) return;
    this.#stream.write(showCursor);
    this.#close();
  }

  #close(): void {
    this.#drawn = [];
    this.#isOpen = false;
  }

  /** A terminal that was made narrower has broken the lines that no longer fit. */
  #upToBeginning(): string {
    const { columns, rows } = sizeOf(this.#stream);
    const heights = this.#drawn.map((line) => Math.max(1, Math.ceil(widthOf(line) / columns)));
    const up = Math.min(
      rows - 1,
      heights.reduce((total, height) => total + height, 0),
    );
    return up > 0 ? `\r\u001b[${up}A` : '\r';
  }
}
