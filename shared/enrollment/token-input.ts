import { enrollmentTokenChars } from '../domain/enrollment-token.ts';
import { AbortError } from '../runtime/abort-error.ts';

/** As much of a process's standard input as a token is read from. */
export interface TokenStream extends AsyncIterable<Buffer | string> {
  readonly isTTY?: boolean;
  setRawMode?(isRaw: boolean): unknown;
  setEncoding?(encoding: 'utf8'): unknown;
}

/** Where a token comes from: never from the command line, which process lists show. */
export interface TokenInput {
  readonly stdin: TokenStream;
  /** Writes what is to be seen; not to standard output, which may go into a file. */
  readonly prompt: (text: string) => void;
}

/** Whoever was asked for a token has given none: the input has ended. */
export class TokenInputEnded extends Error {
  constructor() {
    super('expected a token, and the input has ended');
    this.name = 'TokenInputEnded';
  }
}

/** Ctrl-D; and what stands for one that came before the terminal was to hand over each key. */
const endKeys = ['\u0004', '\u0000'];
/** More than any token with what may stand around it. */
const charsMax = 20 * enrollmentTokenChars;

/**
 * The first line of standard input, or what is typed after a question, which the terminal does not show.
 *
 * @throws AbortError at Ctrl-C
 * @throws TokenInputEnded when the input ended before anything came
 */
export async function readToken({ stdin, prompt }: TokenInput): Promise<string> {
  const token = stdin.isTTY === true ? await askedLine({ stdin, prompt }) : await firstLine(stdin);
  if (token === undefined) throw new TokenInputEnded();
  return token;
}

async function askedLine({ stdin, prompt }: TokenInput): Promise<string | undefined> {
  prompt('Token: ');
  stdin.setRawMode?.(true);
  try {
    return await typedLine(stdin);
  } finally {
    stdin.setRawMode?.(false);
    prompt('\n');
  }
}

/** @returns undefined when nothing but white space came */
async function firstLine(stdin: TokenStream): Promise<string | undefined> {
  let text = '';
  for await (const part of stdin) {
    text += String(part);
    const line = text.trimStart();
    if (line.includes('\n') || text.length > charsMax) break;
  }
  return text.trimStart().split('\n', 1)[0]?.trim() || undefined;
}

/** A terminal in raw mode hands over each key. @returns undefined when it has ended, and nothing was typed */
async function typedLine(stdin: TokenStream): Promise<string | undefined> {
  let text = '';
  for await (const part of stdin) {
    for (const key of String(part)) {
      if (key === '\u0003') throw new AbortError('Interrupted');
      if (key === '\r' || key === '\n') return text.trim();
      if (endKeys.includes(key)) return text.trim() || undefined;
      if (key === '\u007f' || key === '\b') text = text.slice(0, -1);
      else if (text.length < charsMax) text += key;
    }
  }
  return text.trim() || undefined;
}
