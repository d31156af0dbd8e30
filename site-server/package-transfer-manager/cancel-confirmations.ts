import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { ignoreAbort, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

export interface CancelConfirmationsNeeds {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/**
 * Cancelled jobs as they are confirmed by their DPs, and after `waitMsMax` those that are not. Waits on
 * the rows alone: whoever confirms them writes "job history".
 */
export async function* cancelConfirmations(
  { store, clock }: CancelConfirmationsNeeds,
  jobSerials: readonly number[],
  { waitMsMax, signal }: { readonly waitMsMax: number; readonly signal: AbortSignal },
): AsyncGenerator<DistributionJob> {
  const history = store.records(keySpaces.jobHistory);
  const waiting = new Set(jobSerials.map((jobSerial) => joinKey(jobSerial)));
  const changed = new Set(waiting);
  const wake = new WakeSignal();
  const unlisten = store.onWritten((changes) => {
    for (const { space, key } of changes) {
      if (space !== keySpaces.jobHistory.name || !waiting.has(key)) continue;
      changed.add(key);
      wake.wake();
    }
  });
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const sleeping = clock.sleep(waitMsMax, until).then(() => over.abort(workIsOver), ignoreAbort);
  try {
    while (waiting.size > 0 && !until.aborted) {
      const keys = [...changed];
      changed.clear();
      for (const key of keys) {
        const job = await history.get(key);
        if (!job?.cancellation?.isConfirmed || !waiting.delete(key)) continue;
        yield job;
      }
      if (waiting.size > 0) await wake.wait(until).catch(ignoreAbort);
    }
    for (const key of waiting) {
      const job = signal.aborted ? undefined : await history.get(key);
      if (job) yield job;
    }
  } finally {
    over.abort(workIsOver);
    unlisten();
    await sleeping;
  }
}
