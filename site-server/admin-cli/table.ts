import type { Paint, Tone } from '../../shared/runtime/text-style.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import { widthOf, wrapToWidth } from './text-width.ts';

/** A column of a table. Texts come from a server and are escaped here. */
export interface Column<R> {
  readonly title: string;
  readonly text: (row: R) => string;
  /** Numbers stand right. */
  readonly align?: 'right';
  /** Left out where there is too little room for all: the highest first. Absent: never. */
  readonly spare?: number;
  /** A name that says nothing in pieces: it is never broken. */
  readonly isWhole?: true;
  /** Before it gets narrower than this, columns that can be spared are left out. @default 16 */
  readonly readableWidth?: number;
  readonly tone?: (row: R) => Tone | undefined;
}

const gap = '  ';
/** Longer words, such as paths, may be broken. */
const wordWidthMax = 20;
/** Before texts get narrower than this, columns that can be spared are left out. */
const readableWidth = 16;

/** A table, and the titles of the columns that have no room in it. */
export interface Table {
  readonly lines: string[];
  readonly leftOut: readonly string[];
}

/** What is shown how. */
interface TableOptions {
  /** Columns of the terminal: wider texts go on in the next line; absent: no limit. */
  readonly width?: number | undefined;
  readonly paint: Paint;
}

/**
 * A table without borders; where it does not fit, first columns that can be spared are left out;
 * where not even its words fit beside each other, the facts of each row stand one below the other.
 */
export function toTable<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
  options: TableOptions,
): Table {
  // A column that says nothing takes the room of those that do.
  const telling = rows.length > 0 ? columns.filter((column) => !isEmpty(column, rows)) : columns;
  const { shown, lines } = toFittedLines(telling, rows, options);
  const leftOut = telling.filter((column) => !shown.includes(column));
  return { lines, leftOut: leftOut.map(({ title }) => title) };
}

/** The lines of `toTable`, where it goes without saying what has no room. */
export function toTableLines<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
  options: TableOptions,
): string[] {
  return toTable(columns, rows, options).lines;
}

function toFittedLines<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
  options: TableOptions,
): { readonly shown: readonly Column<R>[]; readonly lines: string[] } {
  const titles = columns.map((column) => column.title);
  const texts = rows.map((row) => columns.map((column) => toVisibleText(column.text(row))));
  const natural = widestOf([titles, ...texts], widthOf);
  const broken = widestOf([titles, ...texts], wordWidthOf);
  const words = broken.map((width, at) => (columns[at]?.isWhole ? (natural[at] ?? 0) : width));
  const spared = withoutSparest(columns);
  const readable = words.map((width, at) =>
    Math.max(width, Math.min(natural[at] ?? 0, columns[at]?.readableWidth ?? readableWidth)),
  );
  const fitted = fittedWidths(natural, {
    least: spared ? readable : words,
    room: (options.width ?? Infinity) - gap.length * (columns.length - 1),
  });
  if (!fitted && spared && rows.length > 0) return toFittedLines(spared, rows, options);
  if (!fitted && rows.length > 0) {
    return { shown: columns, lines: toRowsOfFacts(columns, rows, options) };
  }
  const widths = fitted ?? natural;
  const heading: readonly (Tone | undefined)[] = columns.map(() => 'heading');
  const lines = toLines(columns, titles, { widths, tones: heading, paint: options.paint });
  for (const [index, row] of rows.entries()) {
    const tones = columns.map((column) => column.tone?.(row));
    lines.push(...toLines(columns, texts[index] ?? [], { widths, tones, paint: options.paint }));
  }
  return { shown: columns, lines };
}

/** Without the columns that are spared first; undefined when all are needed. */
function withoutSparest<R>(columns: readonly Column<R>[]): Column<R>[] | undefined {
  const sparest = Math.max(0, ...columns.map(({ spare = 0 }) => spare));
  return sparest > 0 ? columns.filter(({ spare = 0 }) => spare < sparest) : undefined;
}

/** Names and values, aligned; those without a value are left out. */
export function toFactLines(
  facts: readonly (readonly [name: string, value: string, tone?: Tone | undefined])[],
  options: { width?: number | undefined; paint: Paint },
): string[] {
  const present = facts.filter(([, value]) => value !== '');
  const nameWidth = Math.max(0, ...present.map(([name]) => name.length));
  const valueWidth = Math.max(20, (options.width ?? Infinity) - nameWidth - gap.length);
  return present.flatMap(([name, value, tone]) =>
    wrapToWidth(toVisibleText(value), valueWidth).map((line, index) => {
      const shown = (index === 0 ? name : '').padEnd(nameWidth);
      const text = tone ? options.paint(tone, line) : line;
      return `${options.paint('quiet', shown)}${gap}${text}`.trimEnd();
    }),
  );
}

/** The largest of each column, by a measure of its texts. */
function widestOf(
  rows: readonly (readonly string[])[],
  measure: (text: string) => number,
): number[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, text] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, measure(text));
    }
  }
  return widths;
}

function wordWidthOf(text: string): number {
  return Math.min(wordWidthMax, Math.max(...text.split(' ').map(widthOf)));
}

/** Takes from the widest column that can give until all fit; undefined when they cannot. */
function fittedWidths(
  widths: readonly number[],
  { least, room }: { least: readonly number[]; room: number },
): number[] | undefined {
  const fitted = [...widths];
  const leastOf = (index: number) => least[index] ?? 0;
  for (let over = sum(fitted) - room; over > 0; over = sum(fitted) - room) {
    const giving = fitted.filter((width, index) => width > leastOf(index));
    if (giving.length === 0) return undefined;
    const widest = Math.max(...giving);
    const index = fitted.findLastIndex((width, at) => width === widest && width > leastOf(at));
    const next = Math.max(leastOf(index), ...giving.filter((other) => other < widest));
    fitted[index] = Math.max(leastOf(index), widest - over, Math.min(next, widest - 1));
  }
  return fitted;
}

function toRowsOfFacts<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
  options: { width?: number | undefined; paint: Paint },
): string[] {
  return rows.flatMap((row, index) => {
    const facts = columns.map(
      (column) => [column.title, column.text(row), column.tone?.(row)] as const,
    );
    const lines = toFactLines(facts, options);
    return index === 0 ? lines : ['', ...lines];
  });
}

function toLines<R>(
  columns: readonly Column<R>[],
  texts: readonly string[],
  options: { widths: readonly number[]; tones: readonly (Tone | undefined)[]; paint: Paint },
): string[] {
  const cells = texts.map((text, index) => wrapToWidth(text, options.widths[index] ?? 1));
  const height = Math.max(1, ...cells.map((cell) => cell.length));
  return Array.from({ length: height }, (_, lineIndex) =>
    columns
      .map((column, index) => {
        const text = cells[index]?.[lineIndex] ?? '';
        const padding = ' '.repeat(Math.max(0, (options.widths[index] ?? 0) - widthOf(text)));
        const tone = options.tones[index];
        const shown = tone && text !== '' ? options.paint(tone, text) : text;
        return column.align === 'right' ? padding + shown : shown + padding;
      })
      .join(gap)
      .trimEnd(),
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function isEmpty<R>(column: Column<R>, rows: readonly R[]): boolean {
  return rows.every((row) => column.text(row) === '');
}
