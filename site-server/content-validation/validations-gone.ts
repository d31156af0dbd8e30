import { asRepaired, isUnsound } from '../../shared/domain/validation-result.ts';
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

/**
 * What this site says of its own copy of a package, once all of it has come again and nobody looks at it once more:
 * what was found is whole, or is of another version now.
 */
export async function ownCopyMended(
  store: Store,
  {
    packageId,
    siteCode,
    sourceVersion,
  }: Record<'packageId' | 'siteCode', string> & {
    readonly sourceVersion: number;
  },
): Promise<Change[]> {
  const results = store.records(keySpaces.validationResults);
  const key = joinKey(packageId, siteCode, '');
  const before = await results.get(key);
  // Without a reason why it is not brought again, whoever brings it looks at it once more.
  if (!before || !isUnsound(before) || before.failure === undefined) return [];
  if (before.sourceVersion !== sourceVersion) return [results.delete(key)];
  return [results.put(key, asRepaired(before))];
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
