import { type DistributionJob, isRunning } from './distribution-job.ts';
import { JobList } from './job-list.ts';

/** Cancellations that one DP is told of at once; one that has not answered, of one at a time. */
export const cancelsPerDpMax = 8;

/** What is to be told to one DP. */
interface DpCancels {
  readonly ready: JobList;
  runningCount: number;
  /** Open ones that it did not answer. */
  unansweredCount: number;
}

/**
 * The places of words that a job was cancelled (PKG-9): short calls, for which no slot is waited. Each DP
 * has places of its own, so that none waits for another one that is away.
 */
export class CancelPlaces {
  readonly #dps = new Map<string, DpCancels>();
  /** DPs that have room for one that could run. */
  readonly #withRoom = new Set<string>();

  /** A word that is open, whether it runs, waits or could run. */
  addOpen(job: DistributionJob): void {
    this.#change(job, (dp) => {
      if (isRunning(job)) dp.runningCount += 1;
      if (isUnanswered(job)) dp.unansweredCount += 1;
    });
  }

  deleteOpen(job: DistributionJob): void {
    this.#change(job, (dp) => {
      if (isRunning(job)) dp.runningCount -= 1;
      if (isUnanswered(job)) dp.unansweredCount -= 1;
    });
  }

  addReady(job: DistributionJob): void {
    this.#change(job, ({ ready }) => ready.put(job));
  }

  deleteReady(job: DistributionJob): void {
    this.#change(job, ({ ready }) => ready.delete(job));
  }

  /** Those that go now: looked at are these alone. */
  starting(): DistributionJob[] {
    return [...this.#withRoom].flatMap((dpId) => {
      const dp = this.#dps.get(dpId);
      return dp?.ready.after(undefined, roomOf(dp)) ?? [];
    });
  }

  #change({ dpId }: DistributionJob, change: (dp: DpCancels) => void): void {
    const dp = this.#dps.get(dpId) ?? {
      ...{ ready: new JobList() },
      ...{ runningCount: 0, unansweredCount: 0 },
    };
    change(dp);
    if (dp.ready.size + dp.runningCount + dp.unansweredCount > 0) this.#dps.set(dpId, dp);
    else this.#dps.delete(dpId);
    if (dp.ready.size > 0 && roomOf(dp) > 0) this.#withRoom.add(dpId);
    else this.#withRoom.delete(dpId);
  }
}

function roomOf({ runningCount, unansweredCount }: DpCancels): number {
  return Math.max(0, (unansweredCount > 0 ? 1 : cancelsPerDpMax) - runningCount);
}

/** Whether its DP has not answered it when it was last told. */
function isUnanswered(job: DistributionJob): boolean {
  return job.tryCount > (isRunning(job) ? 1 : 0);
}

/** Whether the job only tells its DP that another one was cancelled. */
export function isCancel({ action }: Pick<DistributionJob, 'action'>): boolean {
  return action === 'cancel';
}
