import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PullWord } from '../../shared/domain/pull-effect.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { eachOf } from './each-of.ts';
import type { JobTable } from './job-table.ts';
import { JobsWithPullDps } from './jobs-with-pull-dps.ts';
import type { PullConfig } from './pull-config.ts';
import type { PullNotification } from './pull-notification.ts';
import type { PullReports } from './pull-reports.ts';
import { toPullWord } from './pull-word.ts';

export interface PullPollNeeds {
  readonly jobs: Pick<JobTable, 'followedBy' | 'get' | 'changed' | 'end' | 'onChanged'>;
  readonly hierarchy: Pick<HierarchyManager, 'get'>;
  readonly notification: Pick<PullNotification, 'query'>;
  readonly reports: Pick<PullReports, 'take'>;
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>;
  readonly logger: Logger;
  /** Called when a job has ended. */
  readonly onRoom: () => void;
}

/** DPs asked at once. */
const askedMax = 8;
/** Shortest pause between two looks. */
const pauseMsMin = 1_000;

/**
 * Asks pull DPs that have long said nothing of a job (PULL-3): the safety net under the state
 * messages. When a question is due, the job's row knows; so a crash loses none.
 */
export class PullPoll implements Component {
  readonly #needs: PullPollNeeds;
  readonly #config: Pick<PullConfig, 'pollDelayMs' | 'pollCountMax'>;
  readonly #withDps = new JobsWithPullDps();
  readonly #stopped = new AbortController();
  readonly #firstHandedOver = new WakeSignal();
  /** No pull DP has a job: there is nothing to wait for. */
  #isIdle = false;
  #unsubscribe: () => void = () => {};
  #loop: Promise<void> = Promise.resolve();

  constructor(needs: PullPollNeeds, config: Pick<PullConfig, 'pollDelayMs' | 'pollCountMax'>) {
    this.#needs = needs;
    this.#config = config;
    needs.jobs.followedBy(this.#withDps);
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#needs.jobs.onChanged((job) => {
      if (this.#isIdle && isWithPullDp(job)) this.#firstHandedOver.wake();
    });
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#unsubscribe();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      for (;;) {
        const nowMs = this.#needs.clock.nowMs();
        const due = this.#withDps.dueAt(nowMs);
        await eachOf(byDp(due), askedMax, (jobs) => this.#askDp(jobs));
        await this.#untilNext(nowMs);
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** A job that is handed over meanwhile is due after the longest pause at the earliest. */
  async #untilNext(nowMs: number): Promise<void> {
    const { clock } = this.#needs;
    const { signal } = this.#stopped;
    this.#isIdle = this.#withDps.size === 0;
    if (this.#isIdle) return this.#firstHandedOver.wait(signal);
    const latestMs = nowMs + this.#config.pollDelayMs;
    const nextMs = Math.min(this.#withDps.nextDueMs(nowMs) ?? latestMs, latestMs);
    await clock.sleep(Math.max(pauseMsMin, nextMs - clock.nowMs()), signal);
  }

  /** One question after another. Of a DP that does not answer the others stay due, for the next round. */
  async #askDp(jobs: readonly DistributionJob[]): Promise<void> {
    for (const job of jobs) if (!(await this.#askOne(job))) return;
  }

  /** @returns whether the DP answered; a question that failed is due again later */
  async #askOne({ jobSerial, packageId, dpId }: DistributionJob): Promise<boolean> {
    if (this.#stopped.signal.aborted) return false;
    try {
      await this.#ask(jobSerial);
      return true;
    } catch (err) {
      if (isAbortError(err)) return false;
      const facts = { jobSerial, packageId, dpId, err };
      this.#needs.logger.info(facts, 'Pull distribution point did not say how far it is');
      return false;
    }
  }

  async #ask(jobSerial: number): Promise<void> {
    const { jobs, hierarchy, notification, reports } = this.#needs;
    const job = await this.#counted(jobSerial);
    const dp = job && (await hierarchy.get(job.dpId));
    if (!job || dp?.kind !== 'pull') return;
    const word = await this.#answerOf(job, () =>
      notification.query({ job, dp, signal: this.#stopped.signal }),
    );
    // Whatever was heard since is newer than the answer.
    if (word && jobs.get(jobSerial) === job) await reports.take(word, []);
  }

  /** The job with one more question; undefined when it has had its last one, or is none any more. */
  async #counted(jobSerial: number): Promise<DistributionJob | undefined> {
    const { jobs, clock } = this.#needs;
    const { pollDelayMs, pollCountMax } = this.#config;
    const job = jobs.get(jobSerial);
    if (!job || !isWithPullDp(job) || job.restartAtMs > clock.nowMs()) return undefined;
    const pollCount = (job.pollCount ?? 0) + 1;
    if (pollCount > pollCountMax) {
      await this.#giveUp(job);
      return undefined;
    }
    const restartAtMs = clock.nowMs() + pollDelayMs;
    const change = (current: DistributionJob) => ({
      job: { ...current, pollCount, restartAtMs },
    });
    return (await jobs.changed(jobSerial, change, [])) ? jobs.get(jobSerial) : undefined;
  }

  async #giveUp(job: DistributionJob): Promise<void> {
    const { dpId, pollCount: polls = 0 } = job;
    const { message: reason } = new WaybillError({ code: 'PULL_RESULT_MISSING', dpId, polls });
    await this.#needs.jobs.end(job, 'failed', { reason });
    this.#needs.onRoom();
  }

  async #answerOf(
    job: DistributionJob,
    query: () => ReturnType<PullNotification['query']>,
  ): Promise<PullWord | undefined> {
    try {
      return toPullWord(job, await query());
    } catch (error) {
      if (!isErrorWithCode(error, 'PULL_JOB_UNKNOWN')) throw error;
      return toPullWord(job, undefined);
    }
  }
}

function byDp(jobs: readonly DistributionJob[]): Iterable<DistributionJob[]> {
  const found = new Map<string, DistributionJob[]>();
  for (const job of jobs) {
    const ofDp = found.get(job.dpId) ?? [];
    found.set(job.dpId, ofDp);
    ofDp.push(job);
  }
  return found.values();
}
