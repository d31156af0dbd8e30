import { type DistributionJob, isRunning } from './distribution-job.ts';

/** Cancellations that one DP is told of at once; one that has not answered, of one at a time. */
export const cancelsPerDpMax = 8;

/**
 * The places of words that a job was cancelled (PKG-9): short calls, for which no slot is waited. Each DP
 * has places of its own, so that none waits for another one that is away.
 */
export class CancelPlaces {
  readonly #runningOf = new Map<string, number>();
  /** DPs that have not answered such a word. */
  readonly #silentDpIds = new Set<string>();

  /** @param cancels all that are open, those that run included */
  constructor(cancels: Iterable<DistributionJob>) {
    for (const job of cancels) {
      if (isRunning(job)) this.#add(job.dpId);
      const triesNow = isRunning(job) ? 1 : 0;
      if (job.tryCount > triesNow) this.#silentDpIds.add(job.dpId);
    }
  }

  /** @returns why the word has to wait; undefined when it goes now */
  take({ dpId }: DistributionJob): 'slot' | undefined {
    const countMax = this.#silentDpIds.has(dpId) ? 1 : cancelsPerDpMax;
    if ((this.#runningOf.get(dpId) ?? 0) >= countMax) return 'slot';
    this.#add(dpId);
    return undefined;
  }

  #add(dpId: string): void {
    this.#runningOf.set(dpId, (this.#runningOf.get(dpId) ?? 0) + 1);
  }
}

/** Whether the job only tells its DP that another one was cancelled. */
export function isCancel({ action }: Pick<DistributionJob, 'action'>): boolean {
  return action === 'cancel';
}
