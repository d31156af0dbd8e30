import { holderKindOf, isRevoked, type Revocation } from '../../shared/domain/revocation.ts';
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
/** Why an administrator who was deleted is out. */
export const deletedAdministratorReason = 'the administrator was deleted';

/** What was deleted and is there again was not revoked for that. */
const reasonsOfDeletion: ReadonlySet<string> = new Set([
  deletedDpReason,
  deletedSiteReason,
  deletedAdministratorReason,
]);

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
  const reasons = await Promise.all(
    before.map((row) => (reason === '' && row ? reasonKept(store, row) : reason)),
  );
  const rows = holders.map((holder, index) => {
    // A clock that went back takes no revocation back.
    const revokedAtMs = Math.max(clock.nowMs(), atLeastMs, before[index]?.revokedAtMs ?? 0);
    return { siteCode, holder, revokedAtMs, reason: reasons[index] ?? '', revokedBy };
  });
  const changes = rows.map((row, index) => records.put(keys[index] ?? '', row));
  return { rows, changes: [...changes, ...(await tokensGone(store, holders, clock.nowMs()))] };
}

/**
 * Whoever says it once more and not why does not take back why it was said. It is said once more as long as the holder
 * was given nothing since: what he has had from this site after it is revoked for something else.
 */
async function reasonKept(store: Pick<StateStore, 'records'>, before: Revocation): Promise<string> {
  const { holder, reason } = before;
  if (reason === '' || reasonsOfDeletion.has(reason)) return '';
  const kind = holderKindOf(holder) === 'site' ? 'authority' : 'leaf';
  const prefix = `${joinKey(kind, ...holder.split('/'))}/`;
  for await (const [, issued] of store.records(keySpaces.issuedCertificates).list({ prefix })) {
    if (!isRevoked(issued.notBeforeMs, before)) return '';
  }
  return reason;
}
