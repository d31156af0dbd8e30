import { join } from 'node:path';
import { toMomentText } from '../domain/moment-text.ts';
import { type UserIds, whileActingAs } from '../runtime/acting-user.ts';
import { DirectoryLock } from '../state-store/directory-lock.ts';
import type { EnrollmentEnd } from './agent-enrollment.ts';
import { startedAsService } from './service-start.ts';

/** What remains to be done once somebody is enrolled. */
export interface AfterEnrollment {
  /** In words, such as "Distribution point PS1DP1". */
  readonly what: string;
  readonly unit: string;
  /** Whether it is to be started. */
  readonly isToStart: boolean;
  /** Whether the service runs with this very configuration. */
  readonly isOfService: boolean;
  /** One line for people. */
  readonly tell: (line: string) => void;
  /** How it is run by hand. */
  readonly byHand: string;
  /** Who runs with its data already, such as "process 4711"; undefined: nobody. */
  readonly runningAs: () => Promise<string | undefined>;
}

/**
 * Says what has come of an enrollment, and starts the service if there is one.
 *
 * @returns whether the caller is to go on as the agent, in the foreground
 */
export async function afterEnrollment(
  { isNew, notAfterMs }: EnrollmentEnd,
  { what, unit, isToStart, isOfService, tell, byHand, runningAs }: AfterEnrollment,
): Promise<boolean> {
  // Who was enrolled just now is to begin anew: one that runs is in the way.
  const running = isNew || !isToStart ? undefined : await runningAs();
  const until = toMomentText(notAfterMs);
  const already = running === undefined ? '' : `, and runs already, as ${running}`;
  tell(
    isNew
      ? `${what} is enrolled, until ${until}.`
      : `${what} was enrolled before, until ${until}${already}; --force takes the new token all the same.`,
  );
  if (!isToStart) {
    tell(`Start it with: ${byHand}`);
    return false;
  }
  if (isOfService && (await startedAsService(unit, { isRestarted: isNew }))) {
    tell(`Service ${unit} is running, and starts with the machine.`);
    return false;
  }
  return running === undefined;
}

/**
 * Who runs with a data directory, such as "process 4711"; undefined: nobody.
 *
 * @param owner whose the directory is; undefined: of whoever runs this program
 */
export function runningAs(
  dataDirectory: string,
  owner: UserIds | undefined,
): Promise<string | undefined> {
  return whileActingAs(owner, () => DirectoryLock.holderOf(join(dataDirectory, 'state-store')));
}
