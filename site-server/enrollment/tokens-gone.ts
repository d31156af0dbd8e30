import { revokedEnrollment, stateOfEnrollment } from '../../shared/domain/enrollment.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { holderOfRow } from './enrollment-tokens.ts';

/**
 * The rows by which tokens that holders have not used let nobody in any more; for the batch that revokes these.
 * One that is just used is looked at again before it brings anything.
 *
 * @param madeUntilMs tokens that were made later stay
 */
export async function tokensGone(
  store: Pick<StateStore, 'records'>,
  holders: readonly string[],
  nowMs: number,
  madeUntilMs = Number.POSITIVE_INFINITY,
): Promise<Change[]> {
  const rows = store.records(keySpaces.enrollmentTokens);
  const gone = new Set(holders);
  const changes: Change[] = [];
  for await (const [tokenId, row] of rows.list()) {
    const isOfHolder = gone.has(holderOfRow(row) ?? '');
    if (!isOfHolder || row.createdAtMs > madeUntilMs) continue;
    if (stateOfEnrollment(row, nowMs) !== 'unused') continue;
    changes.push(rows.put(tokenId, revokedEnrollment(row, nowMs, 'holder-gone')));
  }
  return changes;
}
