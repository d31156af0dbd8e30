import type { Paint, Tone } from '../../shared/runtime/text-style.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import { widthOf, wrapToWidth } from './text-width.ts';

/** A column of a table. Texts come from a server and are escaped here. */
export interface Column<R> {
  readonly title: string;
  readonly text: (row: R) => string;
  /** Numbers stand right. */
  readonly align?: 'right';
  readonly tone?: (row: R) => Tone | undefined;
}

const gap = '  ';
/** A column narrower than this is no column. */
const columnWidthMin = 6;

/**
 * Lines of a table without borders.
 *
 * @param width columns of the terminal: wider texts go on in the next line; absent: no limit
 */
export function toTableLines<R>(
  columns: readonly Column<R>[],
  rows: readonly R[],
  options: { width?: number | undefined; paint: Paint },
): string[] {
  if (rows.length > 0 && columns.some((column) => isEmpty(column, rows))) {
    // A column that says nothing takes the room of those that do.
    const telling = columns.filter((column) => !isEmpty(column, rows));
    return toTableLines(telling, rows, options);
  }
  const titles = columns.map((column) => column.title);
  const texts = rows.map((row) => columns.map((column) => toVisibleText(column.text(row))));
  const widths = fittedWidths(naturalWidths([titles, ...texts]), options.width);
  const heading: readonly (Tone | undefined)[] = columns.map(() => 'heading');
  const lines = toLines(columns, titles, { widths, tones: heading, paint: options.paint });
  for (const [index, row] of rows.entries()) {
    const tones = columns.map((column) => column.tone?.(row));
    lines.push(...toLines(columns, texts[index] ?? [], { widths, tones, paint: options.paint }));
  }
  return lines;
}

/** Names and values, aligned; those without a value are left out. */
export function toFactLines(
  facts: readonly (readonly [name: string, value: string])[],
  options: { width?: number | undefined; paint: Paint },
): string[] {
  const present = facts.filter(([, value]) => value !== '');
  const nameWidth = Math.max(0, ...present.map(([name]) => name.length));
  const valueWidth = Math.max(20, (options.width ?? Infinity) - nameWidth - gap.length);
  return present.flatMap(([name, value]) =>
    wrapToWidth(toVisibleText(value), valueWidth).map((line, index) => {
      const shown = (index === 0 ? name : '').padEnd(nameWidth);
      return `${options.paint('quiet', shown)}${gap}${line}`.trimEnd();
    }),
  );
}

function naturalWidths(rows: readonly (readonly string[])[]): number[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, text] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, widthOf(text));
    }
  }
  return widths;
}

/** Takes from the widest column until all fit, or no column can give more. */
function fittedWidths(widths: readonly number[], width: number | undefined): number[] {
  const fitted = [...widths];
  if (width === undefined) return fitted;
  const room = width - gap.length * (widths.length - 1);
  for (let over = sum(fitted) - room; over > 0; over = sum(fitted) - room) {
    const widest = Math.max(...fitted);
    if (widest <= columnWidthMin) break;
    const index = fitted.lastIndexOf(widest);
    const next = Math.max(columnWidthMin, ...fitted.filter((other) => other < widest));
    fitted[index] = Math.max(next, widest - over, columnWidthMin);
  }
  return fitted;
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
