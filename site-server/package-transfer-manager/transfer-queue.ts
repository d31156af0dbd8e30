import {
  JobQueue,
  type QueueDecision,
  type QueuePlace,
  type QueueWait,
} from '../../shared/domain/job-queue.ts';
import type { JobQueueLimits } from '../../shared/domain/job-slots.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobTable } from './job-table.ts';
import type { PullConfig } from './pull-config.ts';
import type { TransferPermits } from './transfer-permits.ts';

/** What the queue of transfers needs. */
export interface TransferQueueNeeds {
  readonly jobs: Pick<JobTable, 'followedBy'>;
  readonly hierarchy: Pick<HierarchyManager, 'kindOf'>;
  readonly permits: Pick<TransferPermits, 'opensAtMs'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** Limits as they are now: administrators may change them. */
export interface TransferQueueConfig extends JobQueueLimits {
  readonly pull: Pick<PullConfig, 'notificationsMax' | 'jobsMax'>;
}

/** The open jobs in the queue, as time, DPs and limits are now. In memory only: follows the job table. */
export class TransferQueue {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #queue: JobQueue;
  readonly #listeners = new Set<() => void>();

  constructor(
    { jobs, hierarchy, permits, clock }: TransferQueueNeeds,
    config: TransferQueueConfig,
  ) {
    this.#clock = clock;
    const pull = {
      isPullDp: (dpId: string) => hierarchy.kindOf(dpId) === 'pull',
      get notificationsMax() {
        return config.pull.notificationsMax;
      },
      get jobsMax() {
        return config.pull.jobsMax;
      },
    };
    const opensAtMs: TransferPermits['opensAtMs'] = (job, nowMs) => permits.opensAtMs(job, nowMs);
    this.#queue = new JobQueue({ limits: config, pull, opensAtMs });
    jobs.followedBy(this.#queue);
  }

  /** What is to be done now. */
  decide(): QueueDecision {
    const decision = this.#queue.decide(this.#clock.nowMs());
    for (const listener of this.#listeners) listener();
    return decision;
  }

  /** What is allowed on the ways to DPs may have changed. */
  waysChanged(): void {
    this.#queue.waysChanged();
  }

  /** The DP may be of another kind now. */
  lookAtDp(dpId: string): void {
    this.#queue.lookAtDp(dpId);
  }

  /** Why a job waits; undefined of one that runs, that a pull DP has, or that has ended. */
  waitOf(jobSerial: number): QueueWait | undefined {
    return this.#queue.waitOf(jobSerial, this.#clock.nowMs());
  }

  /** The same, and where it stands among all that wait. */
  placeOf(jobSerial: number): QueuePlace | undefined {
    return this.#queue.placeOf(jobSerial, this.#clock.nowMs());
  }

  /**
   * Calls the listener after each decision: jobs may wait for something else than before. No row tells it.
   *
   * @returns ends it
   */
  onDecided(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
