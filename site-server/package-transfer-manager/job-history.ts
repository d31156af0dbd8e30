import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

export interface JobHistoryNeeds {
  readonly store: StateStore;
  readonly notifier: ChangeNotifier;
}

export interface JobHistoryConfig {
  /** Rows kept; the oldest go first, in batches, so that there may be a few more. @default 100_000 */
  readonly jobHistoryCountMax: number;
}

/** Rows deleted at once, and rows added after which it is looked again. */
const trimBatchCount = 1_000;

/** The table "job history": jobs that ended, of which the oldest are cut off. */
export class JobHistory {
  readonly #needs: JobHistoryNeeds;
  readonly #config: JobHistoryConfig;
  #addedCount = trimBatchCount;

  constructor(needs: JobHistoryNeeds, config: JobHistoryConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** Put this in the batch that ends the job. */
  add(job: DistributionJob): Change {
    this.#addedCount += 1;
    return this.#rows.put(joinKey(job.jobSerial), job);
  }

  /**
   * Cuts off one batch of rows, when it is time to: never one whose result nobody has taken yet. A
   * full disk is no failure: a later call does what this one could not.
   */
  async trim(): Promise<void> {
    if (this.#addedCount < trimBatchCount) return;
    this.#addedCount = 0;
    const keys = await this.#oldKeys();
    // After the rows: whatever is not pending now was handled.
    for await (const { subject } of this.#needs.notifier.pending('transfer-result')) {
      keys.delete(subject);
    }
    await this.#delete(keys);
    if (keys.size === trimBatchCount) this.#addedCount = trimBatchCount;
  }

  /** Serials may have gaps, so this keeps at most as many rows as the limit says. */
  async #oldKeys(): Promise<Set<string>> {
    const keys = new Set<string>();
    for await (const [, newest] of this.#rows.list({ reverse: true, limit: 1 })) {
      const firstKept = newest.jobSerial - this.#config.jobHistoryCountMax + 1;
      const range = { lt: joinKey(Math.max(0, firstKept)), limit: trimBatchCount };
      for await (const [key] of this.#rows.list(range)) keys.add(key);
    }
    return keys;
  }

  async #delete(keys: ReadonlySet<string>): Promise<void> {
    const changes = [...keys].map((key) => this.#rows.delete(key));
    if (changes.length === 0) return;
    try {
      await this.#needs.store.write(changes, { sync: false });
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    }
  }

  get #rows() {
    return this.#needs.store.records(keySpaces.jobHistory);
  }
}
