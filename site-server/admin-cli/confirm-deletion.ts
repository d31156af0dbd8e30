import { CommandFailure, UsageError } from './command-failure.ts';
import type { Session } from './session.ts';

/** What would be deleted, in words. */
export interface Deletion {
  /** What is to be typed to confirm. */
  readonly name: string;
  /** What happens, for who must say --yes. */
  readonly effect: string;
  readonly question: string;
  /** That it did not happen. */
  readonly refusal: string;
  readonly facts: Readonly<Record<string, string>>;
}

/**
 * Asks whether something that cannot be taken back is meant.
 *
 * @throws UsageError when there is nobody to ask
 * @throws CommandFailure NOT_CONFIRMED
 */
export async function confirmDeletion(session: Session, deletion: Deletion): Promise<void> {
  const { name, effect, question, refusal, facts } = deletion;
  if (!session.question || session.output.json) throw new UsageError(`expected --yes: ${effect}`);
  const answer = await session.question(question);
  if (answer.trim() !== name) throw new CommandFailure('NOT_CONFIRMED', refusal, facts);
}
