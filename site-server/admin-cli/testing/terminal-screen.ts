import stringWidth from 'string-width';

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is how a terminal is told
const controlPattern = /^\u001b\[([?\d;]*)([A-Za-z])$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: this is how a terminal is told
const partPattern = /(\u001b\[[?\d;]*[A-Za-z]|\r)|(\n)|([^\u001b\r\n]+|.)/gs;

/**
 * What a terminal shows of the few controls we write: text, new lines, styles, cursor up and to the
 * left, erasing, hiding and showing the cursor. Anything else throws.
 */
export class TerminalScreen {
  readonly #columns: number;
  readonly #rows: number;
  readonly #lines: string[] = [''];
  #row = 0;
  #isAtLeft = true;
  isCursorShown = true;

  constructor(size: { columns: number; rows: number }) {
    this.#columns = size.columns;
    this.#rows = size.rows;
  }

  /** What stands on it, without what was scrolled out; trailing empty lines are left out. */
  get text(): string {
    return this.#lines.slice(-this.#rows).join('\n').trimEnd();
  }

  /** Lines that were scrolled out and cannot be drawn again. */
  get scrolledCount(): number {
    return Math.max(0, this.#lines.length - this.#rows);
  }

  /** Takes what a program writes. */
  write(text: string): void {
    for (const [, control, newLine, plain] of text.matchAll(partPattern)) {
      if (control !== undefined) this.#obey(control);
      else if (newLine !== undefined) this.#toNextLine();
      else this.#put(plain ?? '');
    }
  }

  #obey(control: string): void {
    const [, count = '', letter = ''] = controlPattern.exec(control) ?? [];
    if (control === '\r') this.#isAtLeft = true;
    else if (letter === 'A') this.#row = Math.max(this.scrolledCount, this.#row - Number(count));
    else if (letter === 'K') this.#eraseToEndOfLine();
    else if (letter === 'J') this.#eraseBelow();
    else if (count === '?25') this.isCursorShown = letter === 'h';
    else if (letter !== 'm') throw new Error(`Unknown control ${JSON.stringify(control)}`);
  }

  #toNextLine(): void {
    this.#row++;
    this.#lines[this.#row] ??= '';
    this.#isAtLeft = true;
  }

  /** We always write whole lines, from the left. */
  #put(text: string): void {
    const line = this.#isAtLeft ? '' : (this.#lines[this.#row] ?? '');
    const next = line + text;
    if (stringWidth(next) > this.#columns) throw new Error(`Wider than the terminal: ${next}`);
    this.#lines[this.#row] = next;
    this.#isAtLeft = false;
  }

  #eraseToEndOfLine(): void {
    if (this.#isAtLeft) this.#lines[this.#row] = '';
  }

  #eraseBelow(): void {
    this.#lines.length = this.#row + 1;
    if (this.#isAtLeft) this.#lines[this.#row] = '';
  }
}
