import type { DistributionJob, JobState } from '../../shared/domain/distribution-job.ts';
import { JobList } from '../../shared/domain/job-list.ts';
import type { JobPlace } from '../../shared/domain/job-order.ts';
import { Tally } from '../../shared/runtime/tally.ts';

/** What a job is for. */
export type JobTarget = Pick<DistributionJob, 'packageId' | 'dpId'>;

/** Who is told at once of each open job as it is now, and of each that is one no more. */
export interface OpenJobsFollower {
  set(job: DistributionJob): void;
  delete(jobSerial: number): void;
}

/** The open jobs of the site in memory: by serial, by what they are for, by package, by DP, and in queue order. */
export class OpenJobs {
  readonly #jobs = new Map<number, DistributionJob>();
  /** Serials of all open jobs for one package and DP; seldom more than one. */
  readonly #serialsFor = new Map<string, Set<number>>();
  readonly #states = new Tally<JobState>();
  readonly #serialsAt = new Map<string, Set<number>>();
  readonly #serialsOf = new Map<string, Set<number>>();
  readonly #order = new JobList();
  readonly #followers: OpenJobsFollower[] = [];

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

  /** Up to so many in the order of the queue: the first ones, or those behind a place. */
  inOrder(countMax: number, behind?: JobPlace): DistributionJob[] {
    return this.#order.after(behind, countMax);
  }

  /** Tells the follower of all there are, and of each change from now on. */
  followedBy(follower: OpenJobsFollower): void {
    this.#followers.push(follower);
    for (const job of this.#jobs.values()) follower.set(job);
  }

  set(job: DistributionJob): void {
    const { jobSerial, packageId, dpId } = job;
    const before = this.#jobs.get(jobSerial);
    if (before) this.#order.delete(before);
    this.#order.put(job);
    this.#states.move(before?.state, job.state);
    this.#jobs.set(jobSerial, job);
    add(this.#serialsFor, targetOf(job), jobSerial);
    add(this.#serialsAt, dpId, jobSerial);
    add(this.#serialsOf, packageId, jobSerial);
    for (const follower of this.#followers) follower.set(job);
  }

  delete(job: DistributionJob): void {
    const { jobSerial, packageId, dpId } = job;
    const before = this.#jobs.get(jobSerial);
    if (before) this.#order.delete(before);
    this.#states.move(before?.state, undefined);
    this.#jobs.delete(jobSerial);
    remove(this.#serialsFor, targetOf(job), jobSerial);
    remove(this.#serialsAt, dpId, jobSerial);
    remove(this.#serialsOf, packageId, jobSerial);
    for (const follower of this.#followers) follower.delete(jobSerial);
  }

  /** All open jobs for the package and DP of this one, itself included when it is open, oldest first. */
  sameTargetAs(job: JobTarget): DistributionJob[] {
    return this.#oldestFirst(this.#serialsFor.get(targetOf(job)));
  }

  /** All open jobs for a DP, oldest first. */
  at(dpId: string): DistributionJob[] {
    return this.#oldestFirst(this.#serialsAt.get(dpId));
  }

  /** All open jobs of a package, oldest first. */
  ofPackage(packageId: string): DistributionJob[] {
    return this.#oldestFirst(this.#serialsOf.get(packageId));
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
