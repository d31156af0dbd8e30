import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { fromThreadFailure, type ThreadFailure } from '../content-library/thread-failure.ts';
import type { UserIds } from '../runtime/acting-user.ts';

/** Who a test is where root, who may read everything, would see nothing refused; undefined: who it is. */
export const lesserUser: UserIds | undefined =
  process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

/** A function of a built module, and what it is given. */
export interface LesserCall {
  readonly module: string;
  readonly name: string;
  readonly words: readonly unknown[];
}

/** What the process of the call says at its end. */
export type LesserAnswer = { readonly value: unknown } | { readonly failure: ThreadFailure };

/**
 * Calls a function in a process that is the lesser user altogether: `whileActingAs` leaves who the process
 * really is, and by that access() of the operating system judges.
 *
 * @throws what the function throws
 */
export async function callAsLesserUser(call: LesserCall): Promise<unknown> {
  const program = new URL('./lesser-user-child.js', import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, [program, JSON.stringify(call)]);
  const answer = JSON.parse(stdout) as LesserAnswer;
  if ('failure' in answer) throw fromThreadFailure(answer.failure);
  return answer.value;
}
