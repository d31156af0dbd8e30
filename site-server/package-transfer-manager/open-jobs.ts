import type { DistributionJob } from '../../shared/domain/distribution-job.ts';

/** The open jobs of the site in memory: by serial, and by what they are for. */
export class OpenJobs {
  readonly #jobs = new Map<number, DistributionJob>();
  /** Serials of all open jobs for one package and DP; seldom more than one. */
  readonly #serialsFor = new Map<string, Set<number>>();

  get(jobSerial: number): DistributionJob | undefined {
    return this.#jobs.get(jobSerial);
  }

  has(jobSerial: number): boolean {
    return this.#jobs.has(jobSerial);
  }

  values(): Iterable<DistributionJob> {
    return this.#jobs.values();
  }

  set(job: DistributionJob): void {
    this.#jobs.set(job.jobSerial, job);
    const serials = this.#serialsFor.get(targetOf(job)) ?? new Set();
    this.#serialsFor.set(targetOf(job), serials.add(job.jobSerial));
  }

  delete(job: DistributionJob): void {
    this.#jobs.delete(job.jobSerial);
    const serials = this.#serialsFor.get(targetOf(job));
    serials?.delete(job.jobSerial);
    if (serials?.size === 0) this.#serialsFor.delete(targetOf(job));
  }

  /** All open jobs for the package and DP of this one, itself included when it is open, oldest first. */
  sameTargetAs(job: DistributionJob): DistributionJob[] {
    const serials = [...(this.#serialsFor.get(targetOf(job)) ?? [])].sort((a, b) => a - b);
    return serials.flatMap((serial) => this.#jobs.get(serial) ?? []);
  }
}

function targetOf({ packageId, dpId }: DistributionJob): string {
  return `${packageId}/${dpId}`;
}
