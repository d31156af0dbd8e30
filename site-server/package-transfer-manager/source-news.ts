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
/** Jobs that wait for a source are looked at at most this often: in a chain each waits for the one before. */
const wakePauseMs = 50;
/** A DP is told of other sources at most this often: those that fetch at once share out their work by them. */
const tellPauseMs = 250;

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
  /** Packages whose DPs are to hear of other sources. */
  readonly #untold = new Set<string>();
  readonly #tell = new WakeSignal();
  #unsubscribe: () => void = () => {};
  #loops: readonly Promise<void>[] = [];

  constructor(needs: SourceNewsNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const { notifier } = this.#needs;
    this.#unsubscribe = notifier.subscribe('content-location', () => this.#wake.wake());
    this.#loops = [
      this.#run(this.#wake, wakePauseMs, () => this.#take()),
      this.#run(this.#tell, tellPauseMs, () => this.#tellAll()),
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

  /** @param work says whether there was anything to do */
  async #run(wake: WakeSignal, pauseMs: number, work: () => Promise<boolean>): Promise<void> {
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

  /** Wakes the jobs that wait for a source. */
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
    await this.#look(packageIds, ({ waitingReason }) => waitingReason === 'no-source');
    for (const packageId of packageIds) this.#untold.add(packageId);
    this.#tell.wake();
    await this.#bestEffort({}, () =>
      store.write(
        taken.map((one) => notifier.handled(one)),
        { sync: false },
      ),
    );
    return true;
  }

  /** Tells the DPs that fetch already. */
  async #tellAll(): Promise<boolean> {
    const { jobs, notification } = this.#needs;
    notification.keepOnly(new Set([...jobs.open()].map(({ jobSerial }) => jobSerial)));
    const packageIds = new Set(this.#untold);
    this.#untold.clear();
    await this.#look(packageIds, isWithPullDp);
    return packageIds.size > 0;
  }

  async #look(
    packageIds: ReadonlySet<string>,
    isMeant: (job: DistributionJob) => boolean,
  ): Promise<void> {
    const open = [...this.#needs.jobs.open()];
    const meant = open.filter((job) => packageIds.has(job.packageId) && isMeant(job));
    await eachOf(meant, jobsAtOnceMax, (job) => this.#lookAt(job));
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
