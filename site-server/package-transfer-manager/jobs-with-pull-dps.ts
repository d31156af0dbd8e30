import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import { SortedList } from '../../shared/domain/sorted-list.ts';
import type { OpenJobsFollower } from './open-jobs.ts';

type AskTime = Pick<DistributionJob, 'restartAtMs' | 'jobSerial'>;

/**
 * The open jobs that pull DPs have, by when these are asked for them. Told of each change of a job: so whoever asks
 * looks at no job that is not due. In memory only.
 */
export class JobsWithPullDps implements OpenJobsFollower {
  readonly #jobs = new Map<number, DistributionJob>();
  readonly #byTime = new SortedList<DistributionJob, AskTime>(
    (a, b) => a.restartAtMs - b.restartAtMs || a.jobSerial - b.jobSerial,
  );

  get size(): number {
    return this.#jobs.size;
  }

  set(job: DistributionJob): void {
    this.delete(job.jobSerial);
    if (!isWithPullDp(job)) return;
    this.#jobs.set(job.jobSerial, job);
    this.#byTime.put(job);
  }

  delete(jobSerial: number): void {
    const job = this.#jobs.get(jobSerial);
    if (!job) return;
    this.#jobs.delete(jobSerial);
    this.#byTime.delete(job);
  }

  /** Those that are due, the one that is it for longest first. */
  dueAt(nowMs: number): DistributionJob[] {
    return this.#byTime.after(undefined, this.#byTime.countBefore(lastAt(nowMs)));
  }

  /** When the next one becomes due after this time; undefined: none will. */
  nextDueMs(nowMs: number): number | undefined {
    return this.#byTime.firstAfter(lastAt(nowMs))?.restartAtMs;
  }
}

/** A place behind all that are due at a time. */
function lastAt(restartAtMs: number): AskTime {
  return { restartAtMs, jobSerial: Number.POSITIVE_INFINITY };
}
