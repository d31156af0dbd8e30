import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type DistributionJob,
  isWaiting,
  isWithPullDp,
  type JobAction,
  type JobState,
} from '../../shared/domain/distribution-job.ts';
import type { QueuePlace } from '../../shared/domain/job-queue.ts';
import { toMomentText } from '../../shared/domain/moment-text.ts';
import type { RemainingTransfer } from '../../shared/domain/transfer-pace.ts';
import type { Job } from '../../shared/rpc/generated/waybill/v1/Job.ts';
import type { JobFilter__Output as JobFilter } from '../../shared/rpc/generated/waybill/v1/JobFilter.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { JobTable } from './job-table.ts';
import type { PackageTransferManager } from './package-transfer-manager.ts';
import type { PullRates } from './pull-rates.ts';
import { ToldWaits } from './told-waits.ts';

/** Changes of one job reach a watcher at most this often. */
const watchIntervalMs = 250;
/** Of so many rounds of a watch one looks whether jobs wait for something else: very many take a while. */
const roundsPerLook = 4;
/** Open jobs gone through before others have their turn. */
const pageCount = 1_000;
/** Ended jobs a list gives when no limit is asked for. */
const historyCountDefault = 1_000;

const actionNames = {
  add: 'JOB_ACTION_ADD',
  redistribute: 'JOB_ACTION_REDISTRIBUTE',
  remove: 'JOB_ACTION_REMOVE',
  validate: 'JOB_ACTION_VALIDATE',
  cancel: 'JOB_ACTION_CANCEL',
} as const satisfies Record<JobAction, string>;

const stateNames = {
  pending: 'JOB_STATE_PENDING',
  ready: 'JOB_STATE_READY',
  started: 'JOB_STATE_STARTED',
  'in-progress': 'JOB_STATE_IN_PROGRESS',
  'pending-restart': 'JOB_STATE_PENDING_RESTART',
  complete: 'JOB_STATE_COMPLETE',
  failed: 'JOB_STATE_FAILED',
  cancelled: 'JOB_STATE_CANCELLED',
  suspended: 'JOB_STATE_SUSPENDED',
} as const satisfies Record<JobState, string>;

const priorityNames = { 1: 'PRIORITY_HIGH', 2: 'PRIORITY_NORMAL', 3: 'PRIORITY_LOW' } as const;

export interface JobViewNeeds {
  readonly jobs: Pick<JobTable, 'inOrder' | 'onChanged'>;
  readonly transfers: Pick<
    PackageTransferManager,
    'progressOf' | 'hindranceOf' | 'etaMs' | 'waitOf' | 'placeOf' | 'onDecided' | 'holdReason'
  >;
  readonly rates: Pick<PullRates, 'remainingOf'>;
  readonly store: Pick<StateStore, 'records'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** Jobs as administrators see them: rows, with the place in the queue and the live progress. */
export class JobView {
  readonly #needs: JobViewNeeds;

  constructor(needs: JobViewNeeds) {
    this.#needs = needs;
  }

  /** Open jobs in queue order; or ended ones, newest first. */
  async *list(filter: JobFilter): AsyncGenerator<Job> {
    if (filter.history) return yield* this.#history(filter);
    let left = filter.limit > 0 ? filter.limit : Number.POSITIVE_INFINITY;
    for await (const job of this.#open(filter)) {
      yield this.#toJob(job);
      left -= 1;
      if (left === 0) return;
    }
  }

  /** Open jobs now, then every change until the signal fires; an ended job comes once more. */
  async *watch(filter: JobFilter, signal: AbortSignal): AsyncGenerator<Job> {
    const changed = new Map<number, DistributionJob>();
    const waits = new ToldWaits(this.#needs.transfers);
    const wake = new WakeSignal();
    let mayWaitOtherwise = false;
    const unlisten = this.#needs.jobs.onChanged((job) => {
      if (!matches(job, filter)) return;
      changed.set(job.jobSerial, job);
      wake.wake();
    });
    const unlistenDecisions = this.#needs.transfers.onDecided(() => {
      mayWaitOtherwise = true;
      wake.wake();
    });
    try {
      for await (const job of this.#open(filter)) yield this.#toJob(waits.telling(job));
      for (let round = 0; ; round++) {
        await wake.wait(signal);
        const batch = [...changed.values()];
        changed.clear();
        for (const job of batch) yield this.#toJob(waits.telling(job));
        if (mayWaitOtherwise && round % roundsPerLook === 0) {
          mayWaitOtherwise = false;
          for await (const job of this.#open(filter)) {
            if (waits.isOther(job)) yield this.#toJob(waits.telling(job));
          }
        }
        // It is looked at in a later round.
        if (mayWaitOtherwise) wake.wake();
        await this.#needs.clock.sleep(watchIntervalMs, signal);
      }
    } catch (error) {
      if (!isAbortError(error)) throw error;
    } finally {
      unlisten();
      unlistenDecisions();
    }
  }

  /** A job as it is told, whether it is open or has ended. */
  toMessage(job: DistributionJob): Job {
    return this.#toJob(job);
  }

  /** Open jobs in queue order, a page at a time: however many there are, others have their turns. */
  async *#open(filter: JobFilter): AsyncGenerator<DistributionJob> {
    const { jobs } = this.#needs;
    let page = jobs.inOrder(pageCount);
    while (page.length > 0) {
      yield* page.filter((job) => matches(job, filter));
      await nextTurn();
      page = jobs.inOrder(pageCount, page.at(-1));
    }
  }

  async *#history(filter: JobFilter): AsyncGenerator<Job> {
    let left = filter.limit || historyCountDefault;
    const history = this.#needs.store.records(keySpaces.jobHistory);
    for await (const [, job] of history.list({ reverse: true })) {
      if (!matches(job, filter)) continue;
      yield toJobMessage(job);
      left -= 1;
      if (left === 0) return;
    }
  }

  #toJob(job: DistributionJob): Job {
    const { transfers } = this.#needs;
    const progress = transfers.progressOf(job.jobSerial);
    const isHeld = !progress && job.endedAtMs === 0 && transfers.holdReason !== '';
    // The queue may be behind this, or ahead of it: what does not wait is told without its wait.
    const place = isWaiting(job) ? transfers.placeOf(job.jobSerial) : undefined;
    const told = isHeld ? { ...job, reason: transfers.holdReason } : withWindow(job, place);
    const message = toJobMessage(told, place);
    if (isWithPullDp(job))
      return { ...message, ...this.#speedOf(job, this.#needs.rates.remainingOf(job)) };
    // What an administrator has just stopped may still be ending.
    if (!progress || job.endedAtMs > 0 || job.state === 'suspended') return message;
    const { totalBytes, remainingBytes } = progress;
    const hindrance = transfers.hindranceOf(job.jobSerial);
    // The row follows once a second.
    const isUnderWay = job.state === 'started' && progress.acknowledgedBytes > 0;
    return {
      ...message,
      ...(isUnderWay && { state: stateNames['in-progress'] }),
      ...(hindrance !== undefined && { waitingReason: 'rate', reason: hindrance }),
      // Before the DP was asked the row knows more.
      ...(progress.expectedBytes > 0 && { totalBytes, remainingBytes }),
      bytesSent: progress.sentBytesOfAllRuns,
      ...this.#speedOf(job, progress.remaining),
    };
  }

  /** How fast a job is, and when it will be done. */
  #speedOf(
    job: DistributionJob,
    remaining: RemainingTransfer | undefined,
  ): Pick<Job, 'bytesPerSecond' | 'etaMs'> {
    if (!remaining) return {};
    // Until its window opens it stands still, however quick it was before.
    const isPaused = job.waitingReason === 'window-closed';
    const bytesPerSecond = isPaused ? 0 : remaining.measured.bytesPerSecond;
    return { bytesPerSecond, etaMs: this.#needs.transfers.etaMs(job, remaining) };
  }
}

function matches(job: DistributionJob, filter: JobFilter): boolean {
  if (filter.packageId !== '' && filter.packageId !== job.packageId) return false;
  return filter.dpId === '' || filter.dpId === job.dpId;
}

/** The job with when its window opens, when it waits for that. */
function withWindow(job: DistributionJob, place: QueuePlace | undefined): DistributionJob {
  if (place?.waitingReason !== 'window-closed') return job;
  const { opensAtMs } = place;
  const when = opensAtMs === undefined ? 'never opens' : `opens at ${toMomentText(opensAtMs)}`;
  return { ...job, reason: `Its window ${when}` };
}

function toJobMessage(job: DistributionJob, place?: QueuePlace): Job {
  const { action, state, priority, waitingReason, ...others } = job;
  const { verifiedHash: _, order: __, begunAtMs: ___, ...told } = others;
  const {
    expectedHash: ____,
    heardPlace: _____,
    reported: ______,
    toldHash: _______,
    validation: ________,
    validationReport: _________,
    cancels: __________,
    heldVersion: ___________,
    cancellation,
    ignoresWindow,
    ...rest
  } = told;
  return {
    ...rest,
    action: actionNames[action],
    state: stateNames[state],
    priority: priorityNames[priority],
    waitingReason: place?.waitingReason ?? waitingReason ?? '',
    queuePlace: place?.place ?? 0,
    unconfirmed: cancellation?.isConfirmed === false,
    ignoresWindow: ignoresWindow === true,
  };
}
