import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { PullSource } from '../../shared/domain/pull-source.ts';
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
  readonly jobs: Pick<JobTable, 'ofPackage' | 'get' | 'put' | 'changed'>;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly notification: Pick<PullNotification, 'look' | 'sourcesOf' | 'sourcesChanged'>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
  /** Called when jobs have become due. */
  readonly onDue: () => void;
}

/** Jobs looked at at once. */
const jobsAtOnceMax = 8;
/** Jobs that wait for a source are looked at at most this often: in a chain each waits for the one before. */
const wakePauseMs = 50;
/** DPs hear of other sources at most this often: those that fetch at once share out their work by them. */
const tellPauseMs = 250;

/**
 * When a source has got content (notification "content-location"): jobs that waited for one are due
 * at once, and pull DPs that fetch the package already hear of their new source (PULL-2, PULL-11).
 * The latter is best effort and goes by itself: a DP that does not answer holds up no job that waits,
 * and one that does not hear of its source goes on with what it has.
 */
export class SourceNews implements Component {
  readonly #needs: SourceNewsNeeds;
  readonly #stopped = new AbortController();
  readonly #wake = new WakeSignal();
  readonly #tellWake = new WakeSignal();
  /** Packages of which the sources of a DP were changed by an administrator. */
  readonly #asked = new Set<string>();
  /** Packages of which DPs are to be told. */
  readonly #toTell = new Set<string>();
  #unsubscribe: () => void = () => {};
  #loops: Promise<void>[] = [];

  constructor(needs: SourceNewsNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const { notifier } = this.#needs;
    this.#unsubscribe = notifier.subscribe('content-location', () => this.#wake.wake());
    this.#loops = [
      this.#loop(this.#wake, wakePauseMs, () => this.#take()),
      this.#loop(this.#tellWake, tellPauseMs, () => this.#tell()),
    ];
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#unsubscribe();
    await Promise.all(this.#loops);
  }

  /** The sources of a job's DP may be others now. */
  look(packageId: string): void {
    this.#asked.add(packageId);
    this.#wake.wake();
  }

  /** @param work returns whether there was anything to do */
  async #loop(wake: WakeSignal, pauseMs: number, work: () => Promise<boolean>): Promise<void> {
    const { signal } = this.#stopped;
    try {
      for (;;) {
        await wake.wait(signal);
        if (await work()) await this.#needs.clock.sleep(pauseMs, signal);
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  async #take(): Promise<boolean> {
    const { store, notifier } = this.#needs;
    const packageIds = new Set(this.#asked);
    this.#asked.clear();
    const taken: Notification[] = [];
    for await (const one of notifier.pending('content-location')) {
      packageIds.add(one.subject);
      taken.push(one);
    }
    if (packageIds.size === 0) return false;
    for (const packageId of packageIds) this.#toTell.add(packageId);
    this.#tellWake.wake();
    await this.#lookAt(packageIds, lacksSource, ({ jobSerial }) => this.#makeDue(jobSerial));
    await this.#bestEffort({}, () =>
      store.write(
        taken.map((one) => notifier.handled(one)),
        { sync: false },
      ),
    );
    return true;
  }

  async #tell(): Promise<boolean> {
    const { jobs, notification } = this.#needs;
    const packageIds = new Set(this.#toTell);
    this.#toTell.clear();
    const { signal } = this.#stopped;
    await this.#lookAt(packageIds, isWithPullDp, async (job, dp, sources) => {
      const toldHash = await notification.sourcesChanged({ job, dp, signal }, sources);
      if (toldHash === undefined) return;
      const change = (current: DistributionJob) => ({ job: { ...current, toldHash } });
      await jobs.changed(job.jobSerial, change, []);
    });
    return packageIds.size > 0;
  }

  /** Does something with each job of these packages that is meant, and has sources. */
  async #lookAt(
    packageIds: ReadonlySet<string>,
    isMeant: (job: DistributionJob) => boolean,
    work: (
      job: DistributionJob,
      dp: DistributionPoint,
      sources: readonly PullSource[],
    ) => Promise<void>,
  ): Promise<void> {
    const { jobs, hierarchy, notification } = this.#needs;
    const meant = [...packageIds].flatMap((packageId) => jobs.ofPackage(packageId).filter(isMeant));
    const look = notification.look();
    await eachOf(meant, jobsAtOnceMax, async (job) => {
      const { jobSerial, packageId, dpId } = job;
      await this.#bestEffort({ jobSerial, packageId, dpId }, async () => {
        const dp = await hierarchy.get(dpId);
        if (dp?.kind !== 'pull') return;
        const sources = await notification.sourcesOf({ job, dp }, look);
        // Since the look began others were told: this one may have ended meanwhile.
        const current = jobs.get(jobSerial);
        if (sources && current && isMeant(current)) await work(current, dp, sources);
      });
    });
  }

  async #makeDue(jobSerial: number): Promise<void> {
    const { jobs, onDue } = this.#needs;
    const job = jobs.get(jobSerial);
    if (!job || !lacksSource(job)) return;
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

/** Whether the job waits for a source here. */
function lacksSource(job: DistributionJob): boolean {
  return job.waitingReason === 'no-source' && !isWithPullDp(job);
}
