import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { MiniJob } from '../../shared/domain/send-request.ts';
import type { SiteDeliveryOutcome } from '../../shared/domain/site-delivery.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** Why a job that is forwarded ends although it was not handed over. */
export interface ForwardedEnd {
  readonly reason: string;
  readonly outcome: SiteDeliveryOutcome;
}

/** What a job on its way is held against. */
export interface ForwardedJobsNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly directory: { readonly tree: SiteTree; readonly own: { readonly siteCode: string } };
  readonly clock: { nowMs(): number };
}

/**
 * The mini-jobs that are on their way through this site, by package. Nobody here takes them back as
 * Distribution Manager does with those of its own: so they end by what this site itself knows.
 */
export class ForwardedJobs {
  readonly #needs: ForwardedJobsNeeds;
  readonly #ofPackage = new Map<string, Map<string, MiniJob>>();

  constructor(needs: ForwardedJobsNeeds) {
    this.#needs = needs;
  }

  /** Remembers a job, if it is one that is forwarded. */
  add(job: MiniJob): void {
    if (job.forwarded === undefined) return;
    const jobs = this.#ofPackage.get(job.packageId) ?? new Map<string, MiniJob>();
    this.#ofPackage.set(job.packageId, jobs.set(job.jobId, job));
  }

  delete({ packageId, jobId }: MiniJob): void {
    const jobs = this.#ofPackage.get(packageId);
    jobs?.delete(jobId);
    if (jobs?.size === 0) this.#ofPackage.delete(packageId);
  }

  *all(): Iterable<MiniJob> {
    for (const jobs of this.#ofPackage.values()) yield* jobs.values();
  }

  /** Of one package, those to one site among them. */
  of(packageId: string): readonly MiniJob[] {
    return [...(this.#ofPackage.get(packageId)?.values() ?? [])];
  }

  /** Why a job ends now; undefined while it is to be passed on. */
  async endOf(job: MiniJob): Promise<ForwardedEnd | undefined> {
    const { store, directory, clock } = this.#needs;
    const { packageId, finalSiteCode, expiresAtMs } = job;
    const isOutdated = this.of(packageId).some((other) => isNewer(other, job));
    if (isOutdated) return { reason: 'A newer order took its place', outcome: 'overtaken' };
    const published = await store.records(keySpaces.publishedPackages).get(packageId);
    if (published && isLeaving(published)) {
      return { reason: 'Its package is deleted', outcome: 'overtaken' };
    }
    if (expiresAtMs !== undefined && expiresAtMs <= clock.nowMs()) {
      return { reason: 'Its instruction has expired', outcome: 'stale' };
    }
    if (directory.tree.get(finalSiteCode)) return undefined;
    return { reason: `Site ${finalSiteCode} is not in the hierarchy any more`, outcome: 'stale' };
  }

  /** Takes back what this site has said of packages that are gone. */
  async failuresGone(): Promise<Change[]> {
    const { store, directory } = this.#needs;
    const failures = store.records(keySpaces.forwardingFailures);
    const gone: Change[] = [];
    for await (const [key, { packageId, siteCode }] of failures.list()) {
      const isOwn = siteCode === directory.own.siteCode;
      if (isOwn && (await this.#isGone(packageId))) gone.push(failures.delete(key));
    }
    return gone;
  }

  async #isGone(packageId: string): Promise<boolean> {
    const { store } = this.#needs;
    const published = await store.records(keySpaces.publishedPackages).get(packageId);
    if (published) return isLeaving(published);
    return !(await store.records(keySpaces.packageDefinitions).get(packageId));
  }
}

/** Whether another job is a later order of the same source site to bring the package there. */
function isNewer(other: MiniJob, { jobId, finalSiteCode, ...job }: MiniJob): boolean {
  if (other.jobId === jobId || other.finalSiteCode !== finalSiteCode) return false;
  const bySourceVersion = other.sourceVersion - job.sourceVersion;
  const byAge = other.createdAtMs - job.createdAtMs || (other.jobId < jobId ? -1 : 1);
  return (bySourceVersion || byAge) > 0;
}
