import type { DistributionJob, JobState } from '../../shared/domain/distribution-job.ts';
import { JobOrder } from '../../shared/domain/job-order.ts';
import { Tally } from '../../shared/runtime/tally.ts';

/** What a job is for. */
export type JobTarget = Pick<DistributionJob, 'packageId' | 'dpId'>;

/** The open jobs of the site in memory: by serial, by what they are for, by DP, and in queue order. */
export class OpenJobs {
  readonly #jobs = new Map<number, DistributionJob>();
  /** Serials of all open jobs for one package and DP; seldom more than one. */
  readonly #serialsFor = new Map<string, Set<number>>();
  readonly #states = new Tally<JobState>();
  readonly #serialsAt = new Map<string, Set<number>>();
  readonly #order = new JobOrder((jobSerial) => this.#jobs.get(jobSerial));

  get(jobSerial: number): DistributionJob | undefined {
    return this.#jobs.get(jobSerial);
  }

  has(jobSerial: number): boolean {
    return this.#jobs.has(jobSerial);
  }

  values(): Iterable<DistributionJob> {
    return this.#jobs.values();
  }

  /** How many are in a state. */
  countOf(state: JobState): number {
    return this.#states.of(state);
  }

  /** All in the order of the queue. Changes with the next call: not to be kept. */
  inOrder(): readonly DistributionJob[] {
    return this.#order.jobs;
  }

  set(job: DistributionJob): void {
    const { jobSerial, dpId } = job;
    const before = this.#jobs.get(jobSerial);
    this.#order.changes(jobSerial, before);
    this.#states.move(before?.state, job.state);
    this.#jobs.set(jobSerial, job);
    add(this.#serialsFor, targetOf(job), jobSerial);
    add(this.#serialsAt, dpId, jobSerial);
  }

  delete(job: DistributionJob): void {
    const { jobSerial, dpId } = job;
    const before = this.#jobs.get(jobSerial);
    this.#order.changes(jobSerial, before);
    this.#states.move(before?.state, undefined);
    this.#jobs.delete(jobSerial);
    remove(this.#serialsFor, targetOf(job), jobSerial);
    remove(this.#serialsAt, dpId, jobSerial);
  }

  /** All open jobs for the package and DP of this one, itself included when it is open, oldest first. */
  sameTargetAs(job: JobTarget): DistributionJob[] {
    return this.#oldestFirst(this.#serialsFor.get(targetOf(job)));
  }

  /** All open jobs for a DP, oldest first. */
  at(dpId: string): DistributionJob[] {
    return this.#oldestFirst(this.#serialsAt.get(dpId));
  }

  #oldestFirst(serials: Iterable<number> = []): DistributionJob[] {
    const sorted = [...serials].sort((a, b) => a - b);
    return sorted.flatMap((serial) => this.#jobs.get(serial) ?? []);
  }
}

function add(serialsOf: Map<string, Set<number>>, key: string, jobSerial: number): void {
  const serials = serialsOf.get(key) ?? new Set();
  serialsOf.set(key, serials.add(jobSerial));
}

function remove(serialsOf: Map<string, Set<number>>, key: string, jobSerial: number): void {
  const serials = serialsOf.get(key);
  serials?.delete(jobSerial);
  if (serials?.size === 0) serialsOf.delete(key);
}

function targetOf({ packageId, dpId }: JobTarget): string {
  return `${packageId}/${dpId}`;
}
