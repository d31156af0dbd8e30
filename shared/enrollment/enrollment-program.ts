import type { FileOwner } from '../certificates/secret-files.ts';
import { WaybillError } from '../domain/errors.ts';
import { parseSiteCode } from '../domain/site.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { systemClock } from '../runtime/clock.ts';
import type { AgentEnrollmentNeeds, EnrollmentEnd } from './agent-enrollment.ts';
import { readToken, TokenInputEnded, type TokenStream } from './token-input.ts';

/** What a program enrolls somebody with. */
export interface ProgramNeeds extends AgentEnrollmentNeeds {
  readonly ourUid: number | undefined;
  /** One line for people, on standard output. */
  readonly tell: (line: string) => void;
}

/** What came of an enrollment, for the program that is to start. */
export interface ProgramEnrollmentEnd extends EnrollmentEnd {
  /** Whose the files are; undefined: of whoever runs this program. */
  readonly owner: FileOwner | undefined;
  /** To be called when everything is done: a later enrollment begins with another key. */
  readonly finish: () => Promise<void>;
}

/** Exit codes of our programs (ADM-6). */
const failed = 1;
const wrongUsage = 2;

/**
 * Runs the command `enroll` of a program: an expected failure is a sentence, and exit code 1; Ctrl-C ends it.
 *
 * @returns what the work returns; undefined when it failed
 */
export async function runEnrollment<T>(
  program: string,
  work: (needs: ProgramNeeds) => Promise<T>,
): Promise<T | undefined> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    return await work({
      clock: systemClock,
      signal: interrupted.signal,
      readToken: () =>
        readToken({
          stdin: process.stdin as TokenStream,
          prompt: tellUser,
          signal: interrupted.signal,
        }),
      ourUid: process.getuid?.(),
      tell: (line) => process.stdout.write(`${line}\n`),
    });
  } catch (error) {
    process.exitCode = error instanceof TokenInputEnded ? wrongUsage : failed;
    tellUser(`${program}: ${toSentence(error)}\n`);
    return undefined;
  } finally {
    process.removeListener('SIGINT', interrupt);
    process.removeListener('SIGTERM', interrupt);
  }
}

/** Ends the program when what was given cannot be. */
export function requireText(
  program: string,
  name: string,
  parsed: unknown,
  expected: string,
): void {
  if (parsed) return;
  tellUser(`${program}: ${name}: expected ${expected}\n`);
  process.exit(wrongUsage);
}

/** Ends the program when what was given for the site that is to answer is none. */
export function requireServerSite(program: string, siteCode: string | undefined): void {
  const isRight = siteCode === undefined || parseSiteCode(siteCode);
  requireText(program, '--server-site', isRight, 'three of A-Z and 0-9');
}

/** For the command lines of `enroll`. */
export const serverSiteOption = {
  type: 'string',
  describe: 'code of the site that must answer at --server; it gets the token, and nobody else',
} as const;

/** Not on standard output, which may go into a file. */
function tellUser(text: string): void {
  process.stderr.write(text);
}

function toSentence(error: unknown): string {
  if (error instanceof WaybillError || error instanceof TokenInputEnded) return error.message;
  if (isAbortError(error)) return 'interrupted; the same command goes on';
  // The system says what is wrong itself, such as a directory that may not be written.
  if (error instanceof Error && 'syscall' in error) return error.message;
  throw error;
}
