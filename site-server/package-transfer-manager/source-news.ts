import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { eachOf } from './each-of.ts';
import type { JobTable } from './job-table.ts';
import type { PullNotification } from './pull-notification.ts';

export interface SourceNewsNeeds {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'subscribe' | 'pending' | 'handled'>;
  readonly jobs: Pick<JobTable, 'open' | 'get' | 'put'>;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly notification: Pick<PullNotification, 'sourcesOf' | 'sourcesChanged' | 'keepOnly'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  /** Called when jobs have become due. */
  readonly onDue: () => void;
}

/** Jobs looked at at once. */
const jobsAtOnceMax = 8;
/** A job is told of other sources at most this often. */
const pauseMs = 1_000;

/**
 * When a source has got content (notification "content-location"): jobs that waited for one are due
 * at once, and pull DPs that fetch the package already hear of their new source (PULL-2, PULL-11).
 * The latter is best effort: a DP that does not hear of it goes on with what it has.
 */
export class SourceNews implements Component {
  readonly #needs: SourceNewsNeeds;
  readonly #stopped = new AbortController();
  readonly #wake = new WakeSignal();
  /** Packages of which the sources of a DP were changed by an administrator. */
  readonly #asked = new Set<string>();
  #unsubscribe: () => void = () => {};
  #loop: Promise<void> = Promise.resolve();

  constructor(needs: SourceNewsNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const { notifier } = this.#needs;
    this.#unsubscribe = notifier.subscribe('content-location', () => this.#wake.wake());
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#unsubscribe();
    await this.#loop;
  }

  /** The sources of a job's DP may be others now. */
  look(packageId: string): void {
    this.#asked.add(packageId);
    this.#wake.wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      for (;;) {
        await this.#wake.wait(signal);
        if (await this.#take()) await this.#needs.clock.sleep(pauseMs, signal);
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** @returns whether there was anything to look at */
  async #take(): Promise<boolean> {
    const { store, notifier, jobs, notification } = this.#needs;
    const packageIds = new Set(this.#asked);
    this.#asked.clear();
    const taken: Notification[] = [];
    for await (const one of notifier.pending('content-location')) {
      packageIds.add(one.subject);
      taken.push(one);
    }
    if (packageIds.size === 0) return false;
    const open = [...jobs.open()];
    notification.keepOnly(new Set(open.map(({ jobSerial }) => jobSerial)));
    const concerned = open.filter((job) => packageIds.has(job.packageId) && isForNews(job));
    await eachOf(concerned, jobsAtOnceMax, (job) => this.#lookAt(job));
    await this.#bestEffort({}, () =>
      store.write(
        taken.map((one) => notifier.handled(one)),
        { sync: false },
      ),
    );
    return true;
  }

  async #lookAt(job: DistributionJob): Promise<void> {
    const { jobSerial, packageId, dpId } = job;
    await this.#bestEffort({ jobSerial, packageId, dpId }, async () => {
      const { hierarchy, notification } = this.#needs;
      const dp = await hierarchy.get(dpId);
      if (dp?.kind !== 'pull') return;
      const sources = await notification.sourcesOf({ job, dp });
      if (!sources) return;
      if (!isWithPullDp(job)) return this.#makeDue(jobSerial);
      const { signal } = this.#stopped;
      await notification.sourcesChanged({ job, dp, signal }, sources);
    });
  }

  async #makeDue(jobSerial: number): Promise<void> {
    const { jobs, onDue } = this.#needs;
    const job = jobs.get(jobSerial);
    if (job?.waitingReason !== 'no-source' || isWithPullDp(job)) return;
    await jobs.put({ ...job, restartAtMs: 0 });
    onDue();
  }

  /** What fails here is done by the safety nets: the job's own next look, the DP's other sources. */
  async #bestEffort(facts: object, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (err) {
      if (isAbortError(err)) return;
      this.#needs.logger.info({ ...facts, err }, 'News of a source could not be told');
    }
  }
}

/** Whether the job waits for a source here, or is with a DP that may use one more. */
function isForNews(job: DistributionJob): boolean {
  return isWithPullDp(job) || job.waitingReason === 'no-source';
}
