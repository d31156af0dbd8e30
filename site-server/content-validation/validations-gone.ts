import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

type Store = Pick<StateStore, 'records'>;

/** What this site itself says and remembers of a package on a DP. */
export function ownValidationGone(
  store: Store,
  { packageId, siteCode, dpId }: { packageId: string; siteCode: string; dpId: string },
): Change[] {
  const results = store.records(keySpaces.validationResults);
  const own = store.records(keySpaces.ownValidationRequests);
  const acted = store.records(keySpaces.actedValidations);
  return [
    results.delete(joinKey(packageId, siteCode, dpId)),
    own.delete(joinKey(packageId, dpId)),
    acted.delete(joinKey(packageId, dpId, 'asked')),
    acted.delete(joinKey(packageId, dpId, 'own')),
  ];
}

/** The same of all packages on a DP that is gone. Reads the whole table. */
export async function ownValidationsGone(
  store: Store,
  { siteCode, dpId }: { siteCode: string; dpId: string },
): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const [, result] of store.records(keySpaces.validationResults).list()) {
    if (result.dpId !== dpId || result.siteCode !== siteCode) continue;
    const { packageId } = result;
    changes.push(...ownValidationGone(store, { packageId, siteCode, dpId }));
  }
  return changes;
}
