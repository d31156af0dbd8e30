import type { Revocation } from '../../shared/domain/revocation.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { tokensGone } from '../enrollment/tokens-gone.ts';

/** What making rows of "revocations" needs. */
export interface RevocationRowsNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** This site: it writes its own rows only. */
  readonly siteCode: string;
}

/** Why a DP that was deleted is out. */
export const deletedDpReason = 'the distribution point was deleted';
/** Why a site that was deleted is out, with its DPs. */
export const deletedSiteReason = 'the site was deleted';

/** Who says that somebody is revoked, and why. */
export type RevocationReason = Pick<Revocation, 'reason' | 'revokedBy'>;

/**
 * The rows by which holders are revoked, from now on or from a later moment; for the batch of whoever has a reason for it, so that what is
 * deleted is out whatever is killed when. Tokens that they have not used end with them.
 */
export async function revocationsOf(
  { store, clock, siteCode }: RevocationRowsNeeds,
  holders: readonly string[],
  { reason, revokedBy }: RevocationReason,
  atLeastMs = 0,
): Promise<{ readonly rows: readonly Revocation[]; readonly changes: readonly Change[] }> {
  const records = store.records(keySpaces.revocations);
  const keys = holders.map((holder) => joinKey(siteCode, ...holder.split('/')));
  const before = await records.getMany(keys);
  const rows = holders.map((holder, index) => {
    // A clock that went back takes no revocation back.
    const revokedAtMs = Math.max(clock.nowMs(), atLeastMs, before[index]?.revokedAtMs ?? 0);
    // Whoever says it once more and not why does not take back why it was said.
    const why = reason === '' ? (before[index]?.reason ?? '') : reason;
    return { siteCode, holder, revokedAtMs, reason: why, revokedBy };
  });
  const changes = rows.map((row, index) => records.put(keys[index] ?? '', row));
  return { rows, changes: [...changes, ...(await tokensGone(store, holders, clock.nowMs()))] };
}
