import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PullJob, PullUrgency } from '../../shared/domain/pull-job.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { PassageHours } from '../../shared/transfer-arbiter/passage-hours.ts';
import type { PullJobStore } from './pull-job-store.ts';
import { bytesOfRow, messageOf } from './pull-messages.ts';

export interface PullHoursNeeds {
  readonly hours: Pick<PassageHours, 'isOpen' | 'opensAtMs'>;
  readonly jobs: Pick<PullJobStore, 'update'>;
  readonly logger: Logger;
}

/** The hours in which this DP may fetch, and what it says of jobs that wait for them (PTM-5, PULL-10). */
export class PullHours {
  readonly #needs: PullHoursNeeds;
  /** Packages of which that is just being written. */
  readonly #noting = new Set<string>();

  constructor(needs: PullHoursNeeds) {
    this.#needs = needs;
  }

  isOpen({ priority, ignoresWindow }: PullUrgency): boolean {
    return ignoresWindow || this.#needs.hours.isOpen(priority);
  }

  /** Says that a job waits, and until when; once, as long as that is the matter. Rejects with a bug only. */
  async note(job: PullJob): Promise<void> {
    const opensAtMs = this.#needs.hours.opensAtMs(job.priority) ?? 0;
    if (this.#noting.has(job.packageId) || isNoted(job, opensAtMs)) return;
    this.#noting.add(job.packageId);
    try {
      await this.#write(job, opensAtMs);
    } catch (err) {
      // It waits all the same, and says so when there is room.
      if (!isErrorWithCode(err, 'DISK_FULL')) throw err;
    } finally {
      this.#noting.delete(job.packageId);
    }
  }

  async #write({ packageId, jobSerial }: PackageAction, opensAtMs: number): Promise<void> {
    const { jobs, logger } = this.#needs;
    const error = new WaybillError({ code: 'CONTENT_WINDOW_CLOSED', opensAtMs });
    const { details } = error;
    logger.info({ packageId, jobSerial, err: error }, 'Pull job waits');
    await jobs.update({ packageId, jobSerial }, (before) => {
      const job = { ...before, error: details, restartAtMs: opensAtMs };
      const told = messageOf(job, 'warning', bytesOfRow(job), { error: details });
      return { job, messages: [told] };
    });
  }
}

/** Whether the job's row says so already. */
function isNoted({ error }: PullJob, opensAtMs: number): boolean {
  return error?.code === 'CONTENT_WINDOW_CLOSED' && error.opensAtMs === opensAtMs;
}
