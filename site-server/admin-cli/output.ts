import { typedTokenAdvice, withoutTokens } from '../../shared/domain/enrollment-token.ts';
import type { Paint } from '../../shared/runtime/text-style.ts';
import { toJsonText, toVisibleText } from '../../shared/runtime/visible-text.ts';
import { type FailureReport, toFailureText } from './command-failure.ts';
import { type Column, toFactLines, toTable } from './table.ts';
import { sizeOf, type TextStream } from './text-stream.ts';
import { wrapToWidth } from './text-width.ts';

/** How a run of the program shows what it has to say. */
export interface OutputOptions {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly json: boolean;
  readonly paint: Paint;
  /** How wide tables are that go to no terminal; absent: as wide as they are. */
  readonly columns?: number | undefined;
}

/**
 * Results on stdout, as text for people or as JSON for programs, never mixed; notes and failures
 * on stderr. Everything that came from a server is escaped before it reaches a terminal.
 */
export class Output {
  readonly json: boolean;
  readonly stdout: TextStream;
  readonly #stderr: TextStream;
  readonly #columns: number | undefined;
  /** Colours text for stdout. */
  readonly paint: Paint;

  constructor(options: OutputOptions) {
    this.json = options.json;
    this.stdout = options.stdout;
    this.#stderr = options.stderr;
    this.paint = options.paint;
    this.#columns = options.columns;
  }

  /** Whether lines can be drawn again in place. */
  get isLive(): boolean {
    return this.stdout.isTTY === true && !this.json;
  }

  /** One line for people, already harmless; nothing with `--json`. */
  line(text: string): void {
    if (!this.json) this.stdout.write(`${text}\n`);
  }

  /** A sentence for people, of which parts came from a server; nothing with `--json`. */
  sentence(text: string): void {
    this.line(toVisibleText(text));
  }

  /** One JSON value on its own line, only with `--json`. */
  record(value: unknown): void {
    if (this.json) this.jsonLine(toJsonText(value));
  }

  /** JSON that is already harmless, on its own line, only with `--json`. */
  jsonLine(json: string): void {
    if (this.json) this.stdout.write(`${json}\n`);
  }

  /** One JSON array, or a table and what it has no room for; `empty` is said when there is no row. */
  list<R>(rows: readonly R[], columns: readonly Column<R>[], empty: string): void {
    this.record(rows);
    if (rows.length === 0) {
      this.line(empty);
      return;
    }
    const { lines, leftOut } = toTable(columns, rows, this.#layout());
    for (const line of lines) this.line(line);
    if (leftOut.length > 0) this.#tellLeftOut(leftOut);
  }

  #tellLeftOut(titles: readonly string[]): void {
    const { width = Infinity } = this.#layout();
    const text = `No room for ${titles.join(', ')}; a wider terminal or --json shows more.`;
    for (const line of wrapToWidth(text, width)) this.line(this.paint('quiet', line));
  }

  /** One JSON object, or its facts one below the other. */
  facts(value: unknown, facts: readonly (readonly [name: string, value: string])[]): void {
    this.record(value);
    for (const line of toFactLines(facts, this.#layout())) this.line(line);
  }

  /** Something to know that is no result, on stderr. */
  note(text: string): void {
    this.#stderr.write(`waybill: ${toVisibleText(text)}\n`);
  }

  /** Why the command failed, on stderr, in the words of what was typed. */
  failure(report: FailureReport, args: readonly string[]): void {
    const { code, message, facts } = report;
    const told = this.json
      ? toJsonText({ error: { code, message, ...facts } })
      : toFailureText(report, args);
    // What was typed may be a token.
    this.#stderr.write(`${withoutTokens(told)}\n`);
    const isTyped = args.some((arg) => withoutTokens(arg) !== arg);
    if (isTyped && !this.json) this.note(typedTokenAdvice);
  }

  #layout(): { width: number | undefined; paint: Paint } {
    const width = this.stdout.isTTY === true ? sizeOf(this.stdout).columns : this.#columns;
    return { width, paint: this.paint };
  }
}
