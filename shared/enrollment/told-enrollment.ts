import { toMomentText } from '../domain/moment-text.ts';
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
}

/**
 * Says what has come of an enrollment, and starts the service if there is one.
 *
 * @returns whether the caller is to go on as the agent, in the foreground
 */
export async function afterEnrollment(
  { isNew, notAfterMs }: EnrollmentEnd,
  { what, unit, isToStart, isOfService, tell, byHand }: AfterEnrollment,
): Promise<boolean> {
  const until = toMomentText(notAfterMs);
  tell(
    isNew
      ? `${what} is enrolled, until ${until}.`
      : `${what} was enrolled before, until ${until}; --force takes the new token all the same.`,
  );
  if (!isToStart) {
    tell(`Start it with: ${byHand}`);
    return false;
  }
  if (isOfService && (await startedAsService(unit, { isRestarted: isNew }))) {
    tell(`Service ${unit} is running, and starts with the machine.`);
    return false;
  }
  return true;
}
