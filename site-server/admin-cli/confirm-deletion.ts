import { CommandFailure, UsageError } from './command-failure.ts';
import type { Session } from './session.ts';

/** What would be deleted, in words. */
export interface Deletion {
  /** What is to be typed to confirm. */
  readonly name: string;
  readonly question: string;
  /** That it did not happen. */
  readonly refusal: string;
  readonly facts: Readonly<Record<string, string>>;
}

/**
 * Asks whether something that cannot be taken back is meant.
 *
 * @param effect what happens, for who must say --yes
 * @param toDeletion finds out what to ask; only when there is somebody to ask
 * @throws UsageError when there is nobody to ask, or who is asked has left
 * @throws CommandFailure NOT_CONFIRMED
 */
export async function confirmDeletion(
  session: Session,
  effect: string,
  toDeletion: () => Promise<Deletion>,
): Promise<void> {
  if (!session.question || session.output.json) throw new UsageError(`expected --yes: ${effect}`);
  const { name, question, refusal, facts } = await toDeletion();
  const answer = await session.question(question);
  if (answer === undefined) {
    session.output.line('');
    throw new UsageError(`expected an answer or --yes, and the input has ended: ${effect}`);
  }
  if (answer.trim() !== name) throw new CommandFailure('NOT_CONFIRMED', refusal, facts);
}
