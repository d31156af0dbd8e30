import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isValidation } from '../../shared/domain/validation-places.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { NotifiedJob } from './job-changes.ts';
import { rankOf, withRank } from './job-ranks.ts';
import type { OpenJobs } from './open-jobs.ts';

/** What taking in jobs needs. */
export interface JobIntakeNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'pending' | 'handled'>;
  readonly open: OpenJobs;
  /** Writes an open job; nothing when it has ended meanwhile. */
  readonly put: (job: DistributionJob) => Promise<void>;
  /** Called with each job that is open from now on. */
  readonly onJoined: (job: DistributionJob) => void;
}

/** How jobs that others have made, or changed, join the open ones. A crash leaves their notifications. */
export class JobIntake {
  readonly #needs: JobIntakeNeeds;

  constructor(needs: JobIntakeNeeds) {
    this.#needs = needs;
  }

  /** Each job there is a notification of; that is handled when the next one is asked for. */
  async *takeNotified(): AsyncGenerator<NotifiedJob> {
    const { store, notifier, open } = this.#needs;
    const rows = store.records(keySpaces.distributionJobs);
    for await (const notification of notifier.pending('distribution-job')) {
      const { subject } = notification;
      // Memory first: the row of a job that is just ending may still be there.
      const job = open.get(Number(subject)) ?? (await rows.get(subject));
      if (job) yield await this.#ranked(this.#joined(job));
      await this.#handled(notification);
    }
  }

  /** Open jobs that a newer one for the same package and DP has taken over from. */
  superseded(): DistributionJob[] {
    const { open } = this.#needs;
    return [...open.values()].filter((job) => {
      if (job.action === 'cancel') return false;
      const newest = open.sameTargetAs(job).at(-1);
      return newest !== undefined && newest.jobSerial > job.jobSerial;
    });
  }

  /** Of two jobs for one package and DP the newer one counts, whichever is heard of first. */
  #joined(job: DistributionJob): NotifiedJob {
    const { open, onJoined } = this.#needs;
    if (!open.has(job.jobSerial)) {
      open.set(job);
      onJoined(job);
    }
    const older = open.sameTargetAs(job).slice(0, -1);
    // What tells a DP of a cancelled job stays beside newer ones until the DP has heard it.
    return { job, superseded: older.filter(({ action }) => action !== 'cancel') };
  }

  /** Package and DP may have another priority since the job was made. */
  async #ranked({ job, superseded }: NotifiedJob): Promise<NotifiedJob> {
    const { store, open, put } = this.#needs;
    const rank = await rankOf(store, job);
    const current = open.get(job.jobSerial) ?? job;
    // A validation is of low priority, whatever its package is.
    const next = withRank(current, isValidation(job) ? { dpPriority: rank.dpPriority } : rank);
    if (next !== current) await put(next);
    return { job: next, superseded };
  }

  async #handled(notification: Notification): Promise<void> {
    const { store, notifier } = this.#needs;
    await store.write([notifier.handled(notification)], { sync: false });
  }
}
