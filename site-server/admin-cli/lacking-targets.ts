import type { PackageRecord } from './package-record.ts';
import { type PackageStatusRecord, toPackageStatusRecord } from './package-status-record.ts';
import type { Session } from './session.ts';
import { TargetSites } from './target-sites.ts';
import { whenDoneAtSites } from './target-sites-wait.ts';

/** The DPs that are meant to have a package and do not have its version yet, as far as this site hears. */
export async function lackingTargets(
  { admin }: Session,
  { packageId, sourceVersion }: PackageRecord,
): Promise<string[]> {
  const rows = (await admin.list('listPackageStatus', { packageId })).map(toPackageStatusRecord);
  const isLacking = ({ dpId, state, installedVersion }: PackageStatusRecord) =>
    dpId !== '' && !state.startsWith('removal-') && installedVersion < sourceVersion;
  return rows.filter(isLacking).map(({ dpId }) => dpId);
}

/**
 * Returns once they all have it, verified. One on which this very version has failed already is an end:
 * nothing new is asked for here.
 *
 * @throws CommandFailure TARGETS_FAILED naming those on which it failed, with their reasons
 */
export async function whenNoneLacks(
  session: Session,
  { packageId, sourceVersion }: PackageRecord,
  dpIds: readonly string[],
): Promise<void> {
  const isMeant = ({ dpId }: { readonly dpId: string }) => dpIds.includes(dpId);
  const goal = 'installed' as const;
  const places = await TargetSites.look(session, { packageId, goal, isRepair: false, isMeant });
  const awaited = { packageId, goal, dpIds, versionMin: sourceVersion, before: [] };
  await whenDoneAtSites(session, places, awaited);
}
