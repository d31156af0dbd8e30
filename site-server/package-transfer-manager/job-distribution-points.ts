import { contentNamesOf } from '../../shared/domain/content-location.ts';
import {
  type DistributionJob,
  isWithPullDp,
  moved,
  takenBack,
} from '../../shared/domain/distribution-job.ts';
import type { DistributionPointKind } from '../../shared/domain/distribution-point.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { JobTable } from './job-table.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type { ReturnWatch } from './return-watch.ts';
import type { RunningJobs } from './running-jobs.ts';
import type { TransferQueue } from './transfer-queue.ts';

/** What looking after the DPs of jobs needs. */
export interface JobDistributionPointsNeeds {
  readonly jobs: JobTable;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly packages: Pick<PackageStore, 'packages' | 'turn'>;
  readonly contentMap: Pick<ContentDpMap, 'notArriving'>;
  readonly returns: Pick<ReturnWatch, 'watch' | 'forget'>;
  readonly retries: Pick<RetryPolicy, 'returnDelayMs'>;
  readonly running: Pick<RunningJobs, 'has' | 'again'>;
  readonly queue: Pick<TransferQueue, 'lookAtDp'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Ends a job that is not to go on. */
  readonly withdraw: (job: DistributionJob, reason: string) => Promise<void>;
  /** Called when jobs of a DP are due. */
  readonly onDue: () => void;
}

/** What becomes of open jobs when their DPs are deleted, change their kind, or are away and come back. */
export class JobDistributionPoints {
  readonly #needs: JobDistributionPointsNeeds;
  readonly #stopped: AbortSignal;
  /** The kind of its DP when each open job was last looked at. */
  readonly #kindOf = new Map<number, DistributionPointKind>();

  /** @param stopped fires when the program stops */
  constructor(needs: JobDistributionPointsNeeds, stopped: AbortSignal) {
    this.#needs = needs;
    this.#stopped = stopped;
  }

  /** Follows what becomes of jobs. @returns ends it */
  follow(): () => void {
    return this.#needs.jobs.onChanged(({ jobSerial, endedAtMs }) => {
      if (endedAtMs > 0) this.#kindOf.delete(jobSerial);
    });
  }

  /** The job is new, or something of its DP may have changed. */
  async lookAt(job: DistributionJob): Promise<void> {
    const { hierarchy, returns, withdraw } = this.#needs;
    const dp = await hierarchy.get(job.dpId);
    if (!dp) {
      returns.forget(job.dpId);
      return withdraw(job, 'The distribution point was deleted');
    }
    if (job.waitingReason === 'dp-unreachable') await this.awaitReturn(job);
    await this.#heedKind(job, dp.kind);
  }

  /** A DP that comes back is served at once, not when its retry is due. */
  async awaitReturn({ dpId }: Pick<DistributionJob, 'dpId'>): Promise<void> {
    const dp = await this.#needs.hierarchy.get(dpId);
    if (!dp) return;
    this.#needs.returns.watch(dp, this.#stopped, () => this.#isBack(dpId));
  }

  /** A job goes on in the way of its DP's kind, whichever it began in (ROLE-2). */
  async #heedKind({ jobSerial, dpId }: DistributionJob, kind: DistributionPointKind) {
    const { jobs, queue, running } = this.#needs;
    queue.lookAtDp(dpId);
    const job = jobs.get(jobSerial);
    if (!job) return;
    const hasChanged = (this.#kindOf.get(jobSerial) ?? kind) !== kind;
    this.#kindOf.set(jobSerial, kind);
    if (isWithPullDp(job)) {
      if (kind === 'standard') await this.#takeBack(job);
    } else if (hasChanged && running.has(jobSerial)) {
      running.again(jobSerial);
    } else if (hasChanged || job.waitingReason === 'no-source') {
      await jobs.put({ ...job, restartAtMs: 0 });
    }
  }

  /** What a pull DP had taken is pushed now: due at once, and not arriving there for others. */
  async #takeBack({ jobSerial, packageId, dpId, sourceVersion }: DistributionJob): Promise<void> {
    const { clock, contentMap, jobs, packages } = this.#needs;
    await packages.turn(packageId, async () => {
      const names = contentNamesOf(await packages.packages.get(packageId), packageId);
      const gone = await contentMap.notArriving({ dpId, sourceVersion }, names);
      const due = { reason: '', restartAtMs: 0, updatedAtMs: clock.nowMs() };
      const change = (job: DistributionJob) => ({
        job: moved(takenBack(job), 'pending-restart', due),
      });
      await jobs.changed(jobSerial, change, gone);
    });
  }

  /** What waits since the DP was away is due. */
  async #isBack(dpId: string): Promise<void> {
    const { clock, jobs, retries, onDue } = this.#needs;
    const nowMs = clock.nowMs();
    for (const job of jobs.at(dpId)) {
      const current = jobs.get(job.jobSerial);
      if (current?.waitingReason !== 'dp-unreachable' || current.restartAtMs <= nowMs) continue;
      const dueAtMs = nowMs + retries.returnDelayMs(job.jobSerial);
      await jobs.put({ ...current, restartAtMs: Math.min(current.restartAtMs, dueAtMs) });
    }
    onDue();
  }
}
