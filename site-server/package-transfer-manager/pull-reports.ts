import {
  type DistributionJob,
  heedingWindow,
  moved,
  reporting,
  takenBack,
} from '../../shared/domain/distribution-job.ts';
import type { DistributionPointKind } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import {
  type PullEffect,
  type PullWord,
  pullEffectOf,
  withBytesOf,
} from '../../shared/domain/pull-effect.ts';
import { endsJob } from '../../shared/domain/state-message.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import type { JobChange } from './job-changes.ts';
import type { JobFailure } from './job-failure.ts';
import { retryMessages, warningMessages } from './job-messages.ts';
import type { JobTable } from './job-table.ts';
import type { PullConfig } from './pull-config.ts';
import type { RetryPolicy } from './retry-policy.ts';

export interface PullReportsNeeds {
  readonly store: Pick<StateStore, 'write'>;
  readonly jobs: Pick<JobTable, 'get' | 'changed' | 'end' | 'withPullDp'>;
  readonly packages: Pick<PackageStore, 'packages' | 'turn' | 'retryingChanges'>;
  readonly retries: RetryPolicy;
  readonly status: StatusReporter;
  readonly kindOf: (dpId: string) => DistributionPointKind | undefined;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  /** Called when a DP goes on with a job that is suspended. */
  readonly onSuspendedHeard: (job: DistributionJob) => void;
  /** Called when a job may start, or another one in its place. */
  readonly onRoom: () => void;
}

export interface PullReportsConfig {
  /** Failed tries after which a job has failed. @default 100 */
  readonly retryCountMax: number;
  readonly pull: Pick<PullConfig, 'pollDelayMs'>;
}

/**
 * What pull DPs say of their jobs becomes what is true of the jobs (PULL-9): each word with all that
 * follows from it in one batch, so that it counts once. What comes late changes nothing.
 */
export class PullReports {
  readonly #needs: PullReportsNeeds;
  readonly #config: PullReportsConfig;

  constructor(needs: PullReportsNeeds, config: PullReportsConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** @param others join the batch, and are written also when the word is about nothing that is open */
  async take(word: PullWord, others: readonly Change[]): Promise<void> {
    const { jobs, store } = this.#needs;
    const job = jobs.get(word.jobSerial);
    if (job?.state === 'suspended' && !endsJob(word.state)) this.#needs.onSuspendedHeard(job);
    const isWritten =
      job !== undefined && this.#isAbout(job, word) && (await this.#apply(job, word, others));
    if (!isWritten) await store.write(others, { sync: false });
  }

  #isAbout(job: DistributionJob, { dpId, packageId }: PullWord): boolean {
    if (job.dpId !== dpId || job.packageId !== packageId || job.action === 'remove') return false;
    if (job.action === 'cancel') return false;
    const wasTried = job.startedAtMs > 0 && job.state !== 'pending' && job.state !== 'suspended';
    // One that is standard now is brought its content: what it fetched before is over.
    return wasTried && this.#needs.kindOf(dpId) === 'pull';
  }

  async #apply(job: DistributionJob, word: PullWord, others: readonly Change[]): Promise<boolean> {
    const effect = pullEffectOf(word, await this.#expectedHash(job));
    if (effect.kind === 'goes-on') return this.#goesOn(job, { word, effect, others });
    const isWritten = await this.#ended(job, { word, effect, others });
    const { jobSerial, packageId, dpId } = job;
    const facts = { jobSerial, packageId, dpId, state: word.state, effect: effect.kind };
    this.#needs.logger.info(facts, 'Pull distribution point ended its work on a job');
    this.#needs.onRoom();
    return isWritten;
  }

  #ended(
    job: DistributionJob,
    { word, effect, others }: Report<Exclude<PullEffect, { kind: 'goes-on' }>>,
  ): Promise<boolean> {
    if (effect.kind === 'complete') {
      const { verifiedHash } = effect;
      return this.#end(job, 'complete', { word, reason: '', others, verifiedHash });
    }
    if (effect.kind === 'failed-try') return this.#failedTry(job, { word, effect, others });
    return this.#dropped(job, { word, effect, others });
  }

  /** The DP is told once more; one that never keeps what it takes is not told for ever. */
  #dropped(
    job: DistributionJob,
    { word, others }: Report<Extract<PullEffect, { kind: 'notify-again' }>>,
  ): Promise<boolean> {
    const { clock, jobs, retries } = this.#needs;
    const reason = `${job.dpId} does not have the job any more`;
    if (job.tryCount >= this.#config.retryCountMax) {
      return this.#end(job, 'failed', { word, reason, others });
    }
    const updatedAtMs = clock.nowMs();
    const restartAtMs = updatedAtMs + retries.returnDelayMs(job.jobSerial);
    const change = (current: DistributionJob): JobChange => {
      const due = { reason, restartAtMs, updatedAtMs };
      return { job: moved(takenBack(heard(current, word)), 'pending-restart', due) };
    };
    return jobs.changed(job.jobSerial, change, others);
  }

  /** The job stays with the DP; a reason to wait is told with the package's status. */
  async #goesOn(
    job: DistributionJob,
    { word, effect, others }: Report<Extract<PullEffect, { kind: 'goes-on' }>>,
  ): Promise<boolean> {
    const { clock, jobs, packages, retries } = this.#needs;
    const { waitingReason, reason } = effect;
    if (hasGotOn(job, word)) retries.gotOn(job.jobSerial);
    const restartAtMs = clock.nowMs() + this.#config.pull.pollDelayMs;
    const change = (current: DistributionJob): JobChange => {
      const isOn = hasGotOn(current, word);
      const counts = {
        ...(isOn && { tryCount: 0 }),
        // One that says that it waits for its hours is asked as long as they are closed.
        ...((isOn || waitingReason === 'window-closed') && { pollCount: 0 }),
      };
      const known = withBytesOf({ ...heard(current, word), ...counts }, word);
      const warned = this.#warned(known, word);
      const facts = { reason, restartAtMs, ...(waitingReason && { waitingReason }) };
      const next = jobs.withPullDp(warned.job, facts);
      return { job: next.job, messages: [...warned.messages, ...next.messages] };
    };
    const { jobSerial, packageId } = job;
    if (job.state !== 'in-progress') this.#needs.onRoom();
    if (!waitingReason) return jobs.changed(jobSerial, change, others);
    return packages.turn(packageId, async () => {
      const retrying = await packages.retryingChanges(job, reason);
      return jobs.changed(jobSerial, change, [...retrying, ...others]);
    });
  }

  async #failedTry(
    job: DistributionJob,
    { word, effect, others }: Report<Extract<PullEffect, { kind: 'failed-try' }>>,
  ): Promise<boolean> {
    const { retries } = this.#needs;
    const failure = toPullFailure(effect.error);
    const { reason } = failure;
    if (failure.kind === 'superseded') {
      return this.#end(job, 'cancelled', { word, reason, others });
    }
    const isDiskFull = failure.waitingReason === 'disk-full-at-dp';
    if (job.tryCount >= this.#config.retryCountMax && !isDiskFull) {
      return this.#end(job, 'failed', { word, reason, others });
    }
    const delayMs = retries.delayMs(job, failure, false);
    return this.#retryLater(job, { word, failure, delayMs, others });
  }

  #retryLater(
    job: DistributionJob,
    { word, failure, delayMs, others }: FailedReport,
  ): Promise<boolean> {
    const { clock, jobs, packages, retries, status } = this.#needs;
    const { reason, waitingReason } = failure;
    const isNews = retries.isFirstFailure(job.jobSerial);
    const updatedAtMs = clock.nowMs();
    return packages.turn(job.packageId, async () => {
      const retrying = await packages.retryingChanges(job, reason);
      const change = (current: DistributionJob): JobChange => {
        const warned = this.#warned(withBytesOf(heard(current, word), word), word);
        const wait = { reason, waitingReason, restartAtMs: updatedAtMs + delayMs, updatedAtMs };
        const next = moved(heedingWindow(takenBack(warned.job)), 'pending-restart', wait);
        const messages = isNews ? retryMessages(status, next) : [];
        return { job: next, messages: [...warned.messages, ...messages] };
      };
      return jobs.changed(job.jobSerial, change, [...retrying, ...others]);
    });
  }

  async #end(
    job: DistributionJob,
    state: 'complete' | 'failed' | 'cancelled',
    result: {
      word: PullWord;
      reason: string;
      others: readonly Change[];
      verifiedHash?: string;
    },
  ): Promise<boolean> {
    const { jobs, retries } = this.#needs;
    const { word, others, ...rest } = result;
    const { messages } = this.#warned(job, word);
    const { receivedBytes } = word;
    const all = { ...rest, receivedBytes, others: [...messages, ...others] };
    const isWritten = await jobs.end(job, state, all);
    if (isWritten) retries.forget(job.jobSerial);
    return isWritten;
  }

  /** 9003 once for each source that lied, 9004 once for each other kind of warning, but a closed window. */
  #warned(job: DistributionJob, { warnings }: PullWord): Required<JobChange> {
    let current = job;
    const messages: Change[] = [];
    for (const { error, source } of warnings) {
      // A closed window is as an administrator wants it: the job says so, as that of a standard DP.
      if (!error || error.code === 'CONTENT_WINDOW_CLOSED') continue;
      const isLie = error.code === 'PULL_SOURCE_LIED';
      const report = reporting(current, isLie ? `9003 ${source}` : `9004 ${error.code}`);
      current = report.job;
      if (!report.isNews) continue;
      const reason = new WaybillError(error).message;
      messages.push(...warningMessages(this.#needs.status, job, { source, reason, isLie }));
    }
    return { job: current, messages };
  }

  async #expectedHash(job: DistributionJob): Promise<string | undefined> {
    if (job.expectedHash !== undefined) return job.expectedHash;
    const sitePackage = await this.#needs.packages.packages.get(job.packageId);
    const isSame = sitePackage?.sourceVersion === job.sourceVersion;
    return isSame ? sitePackage.packageHash : undefined;
  }
}

/** A word, what it means, and what else belongs into its batch. */
interface Report<Effect> {
  readonly word: PullWord;
  readonly effect: Effect;
  readonly others: readonly Change[];
}

interface FailedReport extends Omit<Report<never>, 'effect'> {
  readonly failure: JobFailure;
  readonly delayMs: number;
}

/** What a pull DP says is about its sources and itself: never that this site cannot reach it. */
function toPullFailure(error: WaybillError): JobFailure {
  const { code, message: reason } = error;
  const kind = code === 'ACTION_SUPERSEDED' ? 'superseded' : 'retry';
  return { kind, reason, waitingReason: code === 'DISK_FULL' ? 'disk-full-at-dp' : 'retry-at' };
}

/** Whether the DP has more of the job than it had: only fruitless tries in a row count. */
function hasGotOn(
  { totalBytes, remainingBytes }: DistributionJob,
  { doneBytes }: PullWord,
): boolean {
  return doneBytes > totalBytes - remainingBytes;
}

/** The job, which has heard this word. */
function heard(job: DistributionJob, { place }: PullWord): DistributionJob {
  return place ? { ...job, heardPlace: place } : job;
}
