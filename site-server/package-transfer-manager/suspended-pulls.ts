import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { wasTold } from '../../shared/domain/job-steering.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobTable } from './job-table.ts';
import type { PullNotification } from './pull-notification.ts';

export interface SuspendedPullsNeeds {
  readonly jobs: Pick<JobTable, 'get' | 'open'>;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly notification: Pick<PullNotification, 'suspend'>;
  readonly logger: Logger;
}

/**
 * Tells pull DPs to stop with jobs that were suspended; what they have fetched stays there. Best effort,
 * again at each start and whenever such a DP says that it goes on: what it says of the job counts for
 * nothing while that is suspended.
 */
export class SuspendedPulls {
  readonly #needs: SuspendedPullsNeeds;
  readonly #stopped: AbortSignal;
  /** Jobs whose DP is just being told. */
  readonly #telling = new Map<number, Promise<void>>();

  constructor(needs: SuspendedPullsNeeds, stopped: AbortSignal) {
    this.#needs = needs;
    this.#stopped = stopped;
  }

  start(): void {
    for (const job of this.#needs.jobs.open()) this.tell(job);
  }

  async whenIdle(): Promise<void> {
    await Promise.all(this.#telling.values());
  }

  /** Begins to tell the DP of the job, when that is suspended and the DP may know of it. */
  tell(job: DistributionJob): void {
    const { jobSerial, state } = job;
    if (state !== 'suspended' || !wasTold(job) || this.#telling.has(jobSerial)) return;
    const told = this.#tell(job).finally(() => this.#telling.delete(jobSerial));
    this.#telling.set(jobSerial, told);
  }

  /** Never rejects. */
  async #tell({ jobSerial, packageId, dpId }: DistributionJob): Promise<void> {
    const { jobs, hierarchy, notification, logger } = this.#needs;
    try {
      const dp = await hierarchy.get(dpId);
      const job = jobs.get(jobSerial);
      if (dp?.kind !== 'pull' || job?.state !== 'suspended') return;
      await notification.suspend({ job, dp, signal: this.#stopped });
    } catch (err) {
      if (isAbortError(err)) return;
      const facts = { jobSerial, packageId, dpId, err };
      logger.info(facts, 'Pull distribution point could not be told that a job is suspended');
    }
  }
}
