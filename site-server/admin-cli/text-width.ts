import stringWidth from 'string-width';

const printableAscii = /^[ -~]*$/;
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
// biome-ignore lint/suspicious/noControlCharactersInRegex: this is how a style begins
const styleOrText = /(\u001b\[[0-9;]*m)|([^\u001b]+)/g;

/** Columns that text takes on a terminal; styles take none. */
export function widthOf(text: string): number {
  // Nearly all text is plain, and telling so costs a hundredth.
  return printableAscii.test(text) ? text.length : stringWidth(text);
}

/**
 * The text when it fits, else its beginning with an ellipsis, cut after a word unless little would be
 * left. Styles are kept, and closed.
 */
export function cutToWidth(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let cut = '';
  let left = width - 1;
  let isCut = false;
  for (const [, style, plain = ''] of text.matchAll(styleOrText)) {
    if (style !== undefined) cut += style;
    if (style !== undefined || isCut) continue;
    const taken = beginningOf(plain, left);
    isCut = taken !== plain;
    cut += isCut ? `${atWord(taken, plain)}…` : taken;
    left -= widthOf(taken);
  }
  return cut;
}

/** Lines of at most this width, broken at spaces where there are some; nothing is lost. */
export function wrapToWidth(text: string, width: number): string[] {
  if (widthOf(text) <= width) return [text.trimEnd()];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/(?<= )/)) {
    if (widthOf(line) + widthOf(word.trimEnd()) > width && line !== '') {
      lines.push(line.trimEnd());
      line = '';
    }
    line += word;
    while (widthOf(line.trimEnd()) > width) {
      const head = beginningOf(line, width) || firstGraphemeOf(line);
      lines.push(head);
      line = line.slice(head.length);
    }
  }
  return line.trimEnd() === '' && lines.length > 0 ? lines : [...lines, line.trimEnd()];
}

/** The beginning of a text without the word that was cut, unless that is most of it. */
function atWord(beginning: string, text: string): string {
  const isWhole = text[beginning.length] === ' ';
  const end = isWhole ? beginning.length : beginning.lastIndexOf(' ');
  return (end > beginning.length / 2 ? beginning.slice(0, end) : beginning).trimEnd();
}

function beginningOf(text: string, width: number): string {
  let end = 0;
  let used = 0;
  for (const { segment } of graphemes.segment(text)) {
    used += widthOf(segment);
    if (used > width) break;
    end += segment.length;
  }
  return text.slice(0, end);
}

function firstGraphemeOf(text: string): string {
  for (const { segment } of graphemes.segment(text)) return segment;
  return text;
}
