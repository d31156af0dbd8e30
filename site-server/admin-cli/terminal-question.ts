import { createInterface } from 'node:readline';
import { AbortError } from '../../shared/runtime/abort-error.ts';

/** The terminal somebody sits at. */
export interface QuestionSurroundings {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: { write(text: string): unknown };
  /** Fires at Ctrl-C. */
  readonly signal: AbortSignal;
}

/**
 * Asks for one line. The terminal stays as it is: it edits the line itself, and says when its input has ended,
 * which one that is read key by key does not when that came before.
 *
 * @returns undefined when the input ended, as with Ctrl-D, and there is no answer
 * @throws AbortError when the signal fires
 */
export async function askOnTerminal(
  text: string,
  { stdin, stdout, signal }: QuestionSurroundings,
): Promise<string | undefined> {
  stdout.write(text);
  const lines = createInterface({ input: stdin, terminal: false });
  try {
    return await new Promise((resolve, reject) => {
      const noAnswer = () => resolve(undefined);
      const interrupted = () => reject(new AbortError('Interrupted'));
      lines.once('line', resolve);
      lines.once('close', noAnswer);
      // A terminal that is gone: nobody is there to answer.
      lines.once('error', noAnswer);
      signal.addEventListener('abort', interrupted, { once: true });
      if (signal.aborted) interrupted();
    });
  } finally {
    lines.close();
  }
}
