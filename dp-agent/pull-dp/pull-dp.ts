/**
 * Fetches packages for this DP when its site says that there are some. Called by the site through the
 * DistributionPoint conversation; works by itself from then on: so many packages at once as the site
 * told, by priority and age, each a `PullJobRun`; in the hours in which it may fetch. Writes the tables "pull jobs" and "pull DP settings"
 * and puts state messages into the outbox. A crash leaves rows, and each job goes on: what is here is
 * looked at anew, a commit that was done is found done, and no end is told twice.
 */
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { comparePullJobs, type PullJob, pullJobStateOf } from '../../shared/domain/pull-job.ts';
import { invalidMessage } from '../../shared/package-info/package-version.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import { isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { PassageHours } from '../../shared/transfer-arbiter/passage-hours.ts';
import type { StateMessageOutbox } from '../state-reporter/state-message-outbox.ts';
import type { PullReport } from '../state-reporter/state-message-wire.ts';
import { type PackageInfo, PackageInfos, requireMatch } from './package-infos.ts';
import type { PullDpSettings } from './pull-dp-settings.ts';
import { PullHours } from './pull-hours.ts';
import { defaultPullJobRunConfig, PullJobRun, type PullJobRunNeeds } from './pull-job-run.ts';
import type { JobEffects } from './pull-job-store.ts';
import { bytesOfRow, messageOf } from './pull-messages.ts';
import type { PullNotification } from './pull-notification.ts';
import { lastWordOf, supersededBy } from './pull-report.ts';
import { turnsToEnd } from './pull-turns.ts';

export interface PullDpNeeds extends Omit<PullJobRunNeeds, 'onTurnChanged' | 'onReceived'> {
  readonly library: Pick<ContentLibrary, 'getPackage'>;
  readonly outbox: Pick<StateMessageOutbox, 'endOf'>;
  readonly settings: PullDpSettings;
  /** The schedule of what this DP fetches. */
  readonly hours: Pick<PassageHours, 'isOpen' | 'opensAtMs' | 'onChanged'>;
}

/** Most jobs at once: four times what a site gives a pull DP. */
const jobCountMax = 200;

export class PullDp implements Component {
  readonly #needs: PullDpNeeds;
  readonly #config: typeof defaultPullJobRunConfig;
  readonly #infos = new PackageInfos();
  readonly #hours: PullHours;
  /** By package: one at a time. */
  readonly #runs = new Map<string, { readonly run: PullJobRun; readonly ended: Promise<void> }>();
  readonly #stopping = new AbortController();
  readonly #changed = new WakeSignal();
  #working: Promise<void> = Promise.resolve();
  #endListening = () => {};
  #receivedBytes = 0;

  constructor(needs: PullDpNeeds, config = defaultPullJobRunConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#hours = new PullHours(needs);
  }

  async start(): Promise<void> {
    await this.#needs.settings.load();
    await this.#needs.jobs.load();
    this.#endListening = this.#needs.hours.onChanged(() => this.#changed.wake());
    this.#working = this.#work();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(workIsOver);
    this.#endListening();
    const runs = [...this.#runs.values()];
    for (const { run } of runs) run.abort();
    await Promise.allSettled(runs.map(({ ended }) => ended));
    await this.#working;
    await this.#needs.jobs.whenIdle();
  }

  /** Content that came over the wire since this program began. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Jobs that are worked at, and those that wait for a turn, hours, a source or room. */
  get jobCounts(): { readonly fetching: number; readonly waiting: number } {
    const fetching = this.#activeCount;
    return { fetching, waiting: Math.max(0, this.#needs.jobs.size - fetching) };
  }

  /** From now on it fetches so many packages at once. On disk when it resolves. @throws DISK_FULL */
  async setPackagesMax(packagesMax: number): Promise<void> {
    await this.#needs.settings.setPackagesMax(packagesMax);
    this.#changed.wake();
  }

  /** Takes a package info bundle, which is of use as soon as its notification comes. */
  putPackageInfo(info: PackageInfo): void {
    this.#infos.put(info);
  }

  /**
   * Takes a job, or other sources for one it has. On disk when it resolves.
   *
   * @throws ACTION_NOT_BEGUN when the bundle has to come (again); PACKAGE_INFO_MISMATCH,
   *   VERSION_DOWNGRADE, ACTION_SUPERSEDED, MESSAGE_INVALID, MANIFEST_INVALID,
   *   CONTENT_HASH_MISMATCH, DISK_FULL
   */
  async notify(notification: PullNotification): Promise<void> {
    const { jobs, settings } = this.#needs;
    const { packageId, jobSerial } = notification;
    const info = this.#infoFor(notification);
    requireMatch(notification, info);
    this.#requireRoom(packageId);
    await this.#beginAtReceiver(notification, info);
    const job = await jobs.accept(packageId, (before) => {
      const changes = settings.changesFor(notification);
      return { ...this.#decide(before, notification, info), changes };
    });
    settings.told(notification);
    this.#infos.forget(notification);
    this.#needs.logger.info(
      { packageId, jobSerial, sources: job.sources.length, action: job.action },
      'Pull job was taken',
    );
    this.#tellRun(job);
    this.#changed.wake();
  }

  /**
   * How far a job is, or how it ended.
   *
   * @throws PULL_JOB_UNKNOWN
   */
  async query(action: PackageAction): Promise<PullReport> {
    const { jobs, outbox, library } = this.#needs;
    const { packageId, jobSerial } = action;
    const job = jobs.get(packageId);
    if (job?.jobSerial === jobSerial) {
      const { error } = job;
      const bytes = this.#runOf(job)?.bytes ?? bytesOfRow(job);
      return { state: pullJobStateOf(job), packageHash: '', ...bytes, ...(error && { error }) };
    }
    const lastWord = await outbox.endOf(action);
    if (lastWord) return lastWordOf(lastWord);
    const held = await library.getPackage(packageId);
    if (held?.jobSerial !== jobSerial) {
      throw new WaybillError({ code: 'PULL_JOB_UNKNOWN', packageId, jobSerial });
    }
    const { packageHash } = held;
    const unknown = { doneBytes: 0, totalBytes: 0, receivedBytes: 0 };
    return { state: 'succeeded', packageHash, ...unknown };
  }

  /**
   * The site works at a package itself now, not by way of a notification: its pull job has ended. The
   * site is told so unless it goes on with the very same job, as when the DP was made a standard one.
   */
  async actionAdmitted({ packageId, jobSerial }: PackageAction): Promise<void> {
    const job = this.#needs.jobs.get(packageId);
    if (!job || job.jobSerial > jobSerial) return;
    const error = supersededBy(job, jobSerial);
    try {
      await this.#needs.jobs.end(job, (row) => {
        if (row.jobSerial === jobSerial) return undefined;
        const bytes = this.#runOf(row)?.bytes ?? bytesOfRow(row);
        return messageOf(row, 'cancelled', bytes, { error });
      });
      this.#needs.logger.info({ packageId, jobSerial: job.jobSerial }, 'Pull job was overtaken');
    } catch (err) {
      // Its run hears that it is superseded, and writes it when there is room.
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
    }
    this.#runOf(job)?.abort();
  }

  /**
   * The site has suspended a job: it ends here, and nobody is told. What it has fetched stays; when the
   * site notifies of the same job again, it goes on from there.
   *
   * @throws DISK_FULL
   */
  async suspend(action: PackageAction): Promise<void> {
    const { packageId, jobSerial } = action;
    const isEnd = await this.#needs.jobs.end(action, () => undefined);
    this.#runOf(action)?.abort();
    if (isEnd) this.#needs.logger.info({ packageId, jobSerial }, 'Pull job was suspended');
  }

  /** The bundle of a notification; that of a job which is here need not come again. */
  #infoFor(notification: PullNotification): PackageInfo {
    const { packageId, jobSerial } = notification;
    const job = this.#needs.jobs.get(packageId);
    if (job?.jobSerial !== jobSerial) return this.#infos.require(notification);
    const { version, bundleHash } = job;
    return { packageId, jobSerial, version, bundleHash, manifests: [] };
  }

  #requireRoom(packageId: string): void {
    const { jobs } = this.#needs;
    if (jobs.get(packageId) || jobs.size < jobCountMax) return;
    throw invalidMessage('action', `at most ${jobCountMax} pull jobs at once`, 'one more');
  }

  /** Refuses what is older than what is known, and puts manifests where the run finds them. */
  async #beginAtReceiver(notification: PullNotification, info: PackageInfo): Promise<void> {
    const { packageId, jobSerial } = notification;
    const { version, manifests } = info;
    const redistribute = notification.action === 'redistribute';
    const action = { packageId, jobSerial, version, redistribute };
    try {
      await this.#needs.receiver.begin(action, manifests);
    } catch (error) {
      // The job waits for room; its manifests it fetches then.
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
      await this.#needs.receiver.begin(action);
    }
  }

  #decide(
    before: PullJob | undefined,
    notification: PullNotification,
    info: PackageInfo,
  ): { job: PullJob } & JobEffects {
    const { jobSerial, sources, priority, ignoresWindow, allowFallback } = notification;
    if (before && before.jobSerial > jobSerial) {
      throw new WaybillError(supersededBy(notification, before.jobSerial));
    }
    if (before?.jobSerial === jobSerial) {
      return { job: { ...before, sources, priority, ignoresWindow, allowFallback } };
    }
    const job = newJob(notification, info, this.#needs.clock.nowMs());
    if (!before) return { job };
    const bytes = this.#runOf(before)?.bytes ?? bytesOfRow(before);
    const error = supersededBy(before, jobSerial);
    return { job, messages: [messageOf(before, 'cancelled', bytes, { error })] };
  }

  #tellRun(job: PullJob): void {
    const run = this.#runs.get(job.packageId)?.run;
    if (run?.action.jobSerial === job.jobSerial) run.changed(job);
    else run?.abort();
  }

  #runOf({ packageId, jobSerial }: PackageAction): PullJobRun | undefined {
    const run = this.#runs.get(packageId)?.run;
    return run?.action.jobSerial === jobSerial ? run : undefined;
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopping;
    try {
      while (!signal.aborted) {
        this.#makeRoom();
        this.#startDue();
        await this.#changed.wait(signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    }
  }

  /** What may not fetch now, or is to make way, stops between two pieces, and goes on there later. */
  #makeRoom(): void {
    for (const { run } of this.#runs.values()) if (!this.#hours.isOpen(run)) run.abort();
    const { packagesMax } = this.#needs.settings;
    const active = this.#active.map(({ run }) => run);
    const due = this.#due.filter((job) => this.#hours.isOpen(job));
    for (const run of turnsToEnd(active, due, packagesMax)) run.abort();
  }

  #startDue(): void {
    for (const job of this.#due) {
      if (!this.#hours.isOpen(job)) void this.#hours.note(job);
      else if (this.#activeCount < this.#needs.settings.packagesMax) this.#startRun(job);
    }
  }

  /** Jobs nobody works at, in their order. */
  get #due(): PullJob[] {
    const due = this.#needs.jobs.list().filter(({ packageId }) => !this.#runs.has(packageId));
    return due.sort(comparePullJobs);
  }

  /** A job that waits for sources or room holds up nobody. */
  get #active() {
    return [...this.#runs.values()].filter(({ run }) => !run.isWaiting);
  }

  get #activeCount(): number {
    return this.#active.length;
  }

  #startRun(job: PullJob): void {
    const onTurnChanged = () => this.#onTurnChanged(run);
    const onReceived = (bytes: number) => {
      this.#receivedBytes += bytes;
    };
    const needs = { ...this.#needs, onTurnChanged, onReceived };
    const run: PullJobRun = new PullJobRun(needs, job, this.#config);
    // A bug rejects, is nobody's to handle, and ends the process.
    const ended = run.run().finally(() => {
      this.#runs.delete(job.packageId);
      this.#changed.wake();
    });
    this.#runs.set(job.packageId, { run, ended });
  }

  /** One that goes on while all turns are taken waits for its own, in its order. */
  #onTurnChanged(run: PullJobRun): void {
    if (!run.isWaiting && this.#activeCount > this.#needs.settings.packagesMax) run.abort();
    this.#changed.wake();
  }
}

function newJob(notification: PullNotification, info: PackageInfo, nowMs: number): PullJob {
  const { jobSerial, packageId, action, priority, ignoresWindow, allowFallback, sources } =
    notification;
  return {
    ...{ jobSerial, packageId, action, priority, ignoresWindow, allowFallback, sources },
    version: info.version,
    bundleHash: info.bundleHash,
    contents: notification.contents.map((content) => ({ ...content, state: 'not-started' })),
    acceptedAtMs: nowMs,
    startedAtMs: 0,
    restartAtMs: 0,
    receivedBytes: 0,
  };
}
