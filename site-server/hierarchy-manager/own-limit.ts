import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { Passage } from '../../shared/transfer-arbiter/passage.ts';

/** What finding out needs. */
export interface OwnLimitNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** A transfer that came to this part of its limit was held back by it, for some of the time at least. */
const heldBackPart = 0.5;

/**
 * Whether a rate at which a DP was sent to, or fetched, tells of a limit of ours rather than of the DP: it
 * came near the DP's own limit, or the DP shares a link that has one, of which it may have had any part.
 */
export async function isOwnLimit(
  { store, clock }: OwnLimitNeeds,
  dpId: string,
  bytesPerSecond: number,
): Promise<boolean> {
  const nowMs = clock.nowMs();
  const point = await store.records(keySpaces.distributionPoints).get(dpId);
  const own = limitOf(point?.controls, nowMs);
  if (own !== undefined && bytesPerSecond >= own * heldBackPart) return true;
  for await (const [, link] of store.records(keySpaces.links).list()) {
    if (link.dpIds.includes(dpId) && limitOf(link.controls, nowMs) !== undefined) return true;
  }
  return false;
}

/** Bytes per second that are allowed now; undefined without a limit. */
function limitOf(controls: TransferControls | undefined, nowMs: number): number | undefined {
  if (!controls?.limit) return undefined;
  const passage = new Passage('');
  passage.controls = controls;
  return passage.limitAt(nowMs);
}
