import { enrollmentTokenChars } from '../domain/enrollment-token.ts';
import { AbortError } from '../runtime/abort-error.ts';

/** As much of a process's standard input as a token is read from. */
export interface TokenStream extends AsyncIterable<Buffer | string> {
  readonly isTTY?: boolean;
  setRawMode?(isRaw: boolean): unknown;
  setEncoding?(encoding: 'utf8'): unknown;
  destroy?(error: Error): unknown;
}

/** Where a token comes from: never from the command line, which process lists show. */
export interface TokenInput {
  readonly stdin: TokenStream;
  /** Writes what is to be seen; not to standard output, which may go into a file. */
  readonly prompt: (text: string) => void;
  /** Fires when nobody waits for the token any more. */
  readonly signal?: AbortSignal;
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
 * The first line of standard input, or what is typed after a question, which the terminal does not show. The
 * stream is used up by it; the terminal is as it was, whatever comes of it.
 *
 * @throws AbortError at Ctrl-C, and when the signal fires
 * @throws TokenInputEnded when the input ended before anything came
 */
export async function readToken({ stdin, prompt, signal }: TokenInput): Promise<string> {
  if (signal?.aborted) throw new AbortError('Interrupted');
  const interrupt = () => leave(stdin);
  signal?.addEventListener('abort', interrupt, { once: true });
  try {
    const isAsked = stdin.isTTY === true;
    const token = isAsked ? await askedLine({ stdin, prompt }) : await firstLine(stdin);
    if (token === undefined) throw new TokenInputEnded();
    return token;
  } finally {
    signal?.removeEventListener('abort', interrupt);
  }
}

/** Whoever waits for a key waits until the stream is over; a terminal that is closed cannot be set any more. */
function leave(stdin: TokenStream): void {
  stdin.setRawMode?.(false);
  stdin.destroy?.(new AbortError('Interrupted'));
}

async function askedLine({ stdin, prompt }: TokenInput): Promise<string | undefined> {
  prompt('Token: ');
  stdin.setRawMode?.(true);
  const parts = stdin[Symbol.asyncIterator]();
  try {
    return await typedLine(parts);
  } finally {
    // First: leaving the stream closes the terminal, and it would stay raw for as long as this process runs.
    stdin.setRawMode?.(false);
    await parts.return?.();
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

/**
 * A terminal in raw mode hands over each key. The stream is not left.
 *
 * @returns undefined when it has ended, and nothing was typed
 */
async function typedLine(parts: AsyncIterator<Buffer | string>): Promise<string | undefined> {
  let text = '';
  for (let part = await parts.next(); !part.done; part = await parts.next()) {
    for (const key of String(part.value)) {
      if (key === '\u0003') throw new AbortError('Interrupted');
      if (key === '\r' || key === '\n') return text.trim();
      if (endKeys.includes(key)) return text.trim() || undefined;
      if (key === '\u007f' || key === '\b') text = text.slice(0, -1);
      else if (text.length < charsMax) text += key;
    }
  }
  return text.trim() || undefined;
}
