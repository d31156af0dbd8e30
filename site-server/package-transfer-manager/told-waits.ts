import { type DistributionJob, isWaiting } from '../../shared/domain/distribution-job.ts';
import type { PackageTransferManager } from './package-transfer-manager.ts';

/** What somebody who looks on was told last of why jobs wait, which no row tells. In memory only. */
export class ToldWaits {
  readonly #transfers: Pick<PackageTransferManager, 'waitOf'>;
  /** By serial; none of jobs that do not wait. */
  readonly #told = new Map<number, string>();

  constructor(transfers: Pick<PackageTransferManager, 'waitOf'>) {
    this.#transfers = transfers;
  }

  /** The job is told as it is now. @returns the job */
  telling(job: DistributionJob): DistributionJob {
    const wait = this.#waitOf(job);
    if (wait === undefined) this.#told.delete(job.jobSerial);
    else this.#told.set(job.jobSerial, wait);
    return job;
  }

  /** Whether the job waits for something else than was told. */
  isOther(job: DistributionJob): boolean {
    return this.#waitOf(job) !== this.#told.get(job.jobSerial);
  }

  #waitOf(job: DistributionJob): string | undefined {
    const wait = isWaiting(job) ? this.#transfers.waitOf(job.jobSerial) : undefined;
    return wait && `${wait.waitingReason} ${wait.opensAtMs ?? ''}`;
  }
}
