import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { CommandFailure } from './command-failure.ts';
import { showWhile } from './display.ts';
import { type PackageRecord, toPackageRecord } from './package-record.ts';
import type { Session } from './session.ts';
import { silencesOf, toWaitingText } from './site-silence.ts';
import { SnapshotView } from './snapshot-view.ts';

/**
 * The package once the site server has handled the request that it accepted.
 *
 * @throws CommandFailure PACKAGE_FAILED with the reason, when the source was refused
 * @throws CommandFailure PACKAGE_DELETED when somebody deleted the package meanwhile
 */
export async function whenHandled(
  session: Session,
  accepted: PackageRecord,
): Promise<PackageRecord> {
  const due = accepted.acceptedRequestCount;
  // Its source is read by another site, which has to hear of it first.
  const isHandled = accepted.handledRequestCount >= due;
  const source = isHandled ? [] : [{ siteCode: accepted.sourceSiteCode }];
  for (const silence of await silencesOf(session, source)) {
    session.output.note(toWaitingText(silence, session.clock.nowMs()));
  }
  const seen = await watchUntil(
    session,
    accepted,
    (seen) => seen.handledRequestCount >= due || isGoing(seen),
  );
  const { packageId, reason } = seen;
  if (isGoing(seen)) {
    throw new CommandFailure('PACKAGE_DELETED', `Package ${packageId} was deleted meanwhile`, {
      packageId,
    });
  }
  if (seen.state !== 'failed') return seen;
  const message = `Package ${packageId} was not published: ${reason}. ${updateHint(packageId)}`;
  throw new CommandFailure('PACKAGE_FAILED', message, { packageId, reason });
}

/** What to do about a source that was refused. */
export function updateHint(packageId: string): string {
  return `Correct the source, then: waybill package update ${packageId}`;
}

/** The package once it is gone from every DP and the site. */
export async function whenDeleted(
  session: Session,
  accepted: PackageRecord,
): Promise<PackageRecord> {
  try {
    return await watchUntil(session, accepted, (seen) => seen.state === 'deleted');
  } catch (error) {
    // It was gone before the watch began.
    if (isErrorWithCode(error, 'PACKAGE_UNKNOWN')) return { ...accepted, state: 'deleted' };
    throw error;
  }
}

async function watchUntil(
  session: Session,
  accepted: PackageRecord,
  isDone: (seen: PackageRecord) => boolean,
): Promise<PackageRecord> {
  if (isDone(accepted)) return accepted;
  const { packageId } = accepted;
  const view = new SnapshotView({ accepted, clock: session.clock, paint: session.output.paint });
  return showWhile(session, { view, keep: false }, async (changed) => {
    for await (const event of session.admin.watch('watchPackage', () => ({ packageId }))) {
      if (event.kind === 'change') {
        const seen = toPackageRecord(event.item);
        if (isDone(seen)) return seen;
        view.apply(seen);
      } else {
        view.setPresent(event.kind === 'back');
      }
      changed();
    }
    return accepted;
  });
}

function isGoing({ state }: PackageRecord): boolean {
  return state === 'deleting' || state === 'deleted';
}
