import type { ErrorDetails } from '../../shared/domain/errors.ts';
import type { StateMessage } from '../../shared/domain/state-message.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import type { PullReport } from '../state-reporter/state-message-wire.ts';

/** What the message that ended a job says, for a site that asks before it has heard it. */
export function lastWordOf(message: StateMessage): PullReport {
  const { doneBytes, totalBytes, receivedBytes, packageHash, error } = message;
  const report = { doneBytes, totalBytes, receivedBytes, packageHash, ...(error && { error }) };
  if (message.state === 'success') return { ...report, state: 'succeeded' };
  return { ...report, state: message.state === 'cancelled' ? 'cancelled' : 'failed' };
}

/** Why a job is not to go on: the site has a newer one for the package. */
export function supersededBy(
  { packageId, jobSerial }: PackageAction,
  newestJobSerial: number,
): ErrorDetails {
  return { code: 'ACTION_SUPERSEDED', packageId, jobSerial, newestJobSerial };
}
