import { closedTargetWarnings } from './closed-ways.ts';
import type { PackageStatusRecord } from './package-status-record.ts';
import type { Session } from './session.ts';
import { silencesOf, toWaitingText } from './site-silence.ts';
import type { TargetSites } from './target-sites.ts';
import { whenOnAllTargets } from './target-wait.ts';
import type { AwaitedTargets } from './targets-view.ts';

/**
 * The final rows, once every DP has come to an end, as `whenOnAllTargets`, each seen where that can be
 * seen. Says first which of their sites are silent, and which DPs never open to the package.
 *
 * @param awaited with `before` instead of what `places` has seen
 * @throws CommandFailure TARGETS_FAILED naming those on which it failed, with their reasons
 */
export async function whenDoneAtSites(
  session: Session,
  places: TargetSites,
  awaited: Omit<AwaitedTargets, 'before'> & Partial<Pick<AwaitedTargets, 'before'>>,
): Promise<PackageStatusRecord[]> {
  const { packageId, dpIds, goal } = awaited;
  const sites = dpIds.map((dpId) => ({ siteCode: places.siteOf(dpId) }));
  for (const silence of await silencesOf(session, sites)) {
    session.output.note(toWaitingText(silence, session.clock.nowMs()));
  }
  const warnings = goal === 'installed' ? closedTargetWarnings(packageId, dpIds) : undefined;
  for (const warning of (await warnings?.(session)) ?? []) session.output.note(warning);
  const targets = (await places.of(dpIds)).map((place) => ({
    ...place,
    ...awaited,
    dpIds: place.dpIds,
  }));
  return whenOnAllTargets(targets);
}
