import type { DistributionJob, WaitingReason } from './distribution-job.ts';
import type { Priority } from './package.ts';

/** What the queue has to know of pull DPs (PULL-2). */
export interface PullQueue {
  readonly isPullDp: (dpId: string) => boolean;
  /** Notifications, and removals at pull DPs, at once. @default 20 */
  readonly notificationsMax: number;
  /** Jobs one pull DP has at once; twice as many if it keeps jobs of lower priority for its hours. @default 50 */
  readonly jobsMax: number;
}

/** The places of jobs for pull DPs: how many notifications at once, how many jobs with each DP. */
export class PullPlaces {
  readonly #pull: PullQueue;
  /** Jobs that each DP has, those that are just being handed to it included. */
  readonly #countOf = new Map<string, number>();
  /** Those of them that wait for the DP's hours, by DP and priority. */
  readonly #closedCountOf = new Map<string, number>();
  readonly #notifiedDpIds = new Set<string>();
  readonly #targets = new Set<string>();
  #runningCount = 0;

  constructor(pull: PullQueue) {
    this.#pull = pull;
  }

  addWithDp({ dpId, priority, waitingReason }: DistributionJob): void {
    addOne(this.#countOf, dpId);
    if (waitingReason === 'window-closed') addOne(this.#closedCountOf, `${dpId}/${priority}`);
  }

  addRunning(job: DistributionJob): void {
    this.#runningCount += 1;
    this.#targets.add(targetOf(job));
    // A removal is no notification: the DP does it while it is asked to.
    if (job.action === 'remove') return;
    this.addWithDp(job);
    this.#notifiedDpIds.add(job.dpId);
  }

  /** @returns why the job cannot run; undefined when it has its place now */
  take(job: DistributionJob): WaitingReason | undefined {
    const isRemoval = job.action === 'remove';
    if (!isRemoval && this.#isFull(job)) return 'capacity';
    if (this.#runningCount >= this.#pull.notificationsMax) return 'slot';
    if (this.#targets.has(targetOf(job))) return 'slot';
    if (this.#notifiedDpIds.has(job.dpId) && !isRemoval) return 'slot';
    this.addRunning(job);
    return undefined;
  }

  /** What waits for the DP's hours stands in the way of no higher priority, up to twice the capacity. */
  #isFull({ dpId, priority }: DistributionJob): boolean {
    const { jobsMax } = this.#pull;
    const count = this.#countOf.get(dpId) ?? 0;
    if (count < jobsMax) return false;
    const lower = priorities.filter((one) => one > priority);
    const closed = lower.map((one) => this.#closedCountOf.get(`${dpId}/${one}`) ?? 0);
    const closedCount = closed.reduce((sum, one) => sum + one, 0);
    return count >= 2 * jobsMax || count - closedCount >= jobsMax;
  }
}

const priorities = [1, 2, 3] as const satisfies readonly Priority[];

function addOne(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function targetOf({ packageId, dpId }: DistributionJob): string {
  return `${packageId}/${dpId}`;
}
