import type { DistributionJob } from './distribution-job.ts';

/** Validations of a site that run at once, each on another DP: they wait for disks, not for this site. */
export const validationsMax = 20;

/** The places of validations: one on each DP, so many on all. They take none from what brings content. */
export class ValidationPlaces {
  readonly #dpIds = new Set<string>();

  /** @param running validations that run */
  constructor(running: readonly DistributionJob[]) {
    for (const { dpId } of running) this.#dpIds.add(dpId);
  }

  /** @returns why the job cannot run; undefined when it has its place now */
  take({ dpId }: DistributionJob): 'slot' | undefined {
    if (this.#dpIds.size >= validationsMax || this.#dpIds.has(dpId)) return 'slot';
    this.#dpIds.add(dpId);
    return undefined;
  }
}

/** Whether the job brings nothing and takes nothing away: it reads what is there. */
export function isValidation({ action }: Pick<DistributionJob, 'action'>): boolean {
  return action === 'validate';
}
