import type { PullJob } from '../../shared/domain/pull-job.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type {
  StateMessageFacts,
  StateMessageOutbox,
} from '../state-reporter/state-message-outbox.ts';

/** What is written in one batch with the change of a job. */
export interface JobEffects {
  readonly messages?: readonly StateMessageFacts[];
  readonly changes?: readonly Change[];
}

/**
 * The table "pull jobs", whole in memory, with the one queue all its changes pass through: each sees
 * the row the one before it has left, and an end that is written is written once. What a change tells
 * the site goes into the outbox in the same batch.
 */
export class PullJobStore {
  readonly #store: StateStore;
  readonly #outbox: Pick<StateMessageOutbox, 'add'>;
  readonly #queue = new SerialQueue();
  readonly #jobs = new Map<string, PullJob>();

  constructor(store: StateStore, outbox: Pick<StateMessageOutbox, 'add'>) {
    this.#store = store;
    this.#outbox = outbox;
  }

  /** Reads the jobs there are. */
  async load(): Promise<void> {
    for await (const [packageId, job] of this.#rows.list()) this.#jobs.set(packageId, job);
  }

  list(): PullJob[] {
    return [...this.#jobs.values()];
  }

  get(packageId: string): PullJob | undefined {
    return this.#jobs.get(packageId);
  }

  get size(): number {
    return this.#jobs.size;
  }

  /** Resolves when all changes asked for so far are written, or have failed. */
  whenIdle(): Promise<void> {
    return this.#queue.whenIdle();
  }

  /**
   * Writes what `decide` makes of the package's row, durably.
   *
   * @throws what `decide` throws: then nothing is written; DISK_FULL
   */
  accept(
    packageId: string,
    decide: (before: PullJob | undefined) => { readonly job: PullJob } & JobEffects,
  ): Promise<PullJob> {
    return this.#queue.run(async () => {
      const { job, ...effects } = decide(this.#jobs.get(packageId));
      await this.#write([this.#rows.put(packageId, job)], effects, true);
      this.#jobs.set(packageId, job);
      return job;
    });
  }

  /**
   * Changes the row of a job.
   *
   * @returns the row as it is now; undefined when the job has ended
   * @throws DISK_FULL
   */
  update(
    { packageId, jobSerial }: PackageAction,
    change: (job: PullJob) => { readonly job: PullJob } & JobEffects,
  ): Promise<PullJob | undefined> {
    return this.#queue.run(async () => {
      const before = this.#jobs.get(packageId);
      if (before?.jobSerial !== jobSerial) return undefined;
      const { job, ...effects } = change(before);
      await this.#write([this.#rows.put(packageId, job)], effects, false);
      this.#jobs.set(packageId, job);
      return job;
    });
  }

  /**
   * Deletes the row of a job with the message that says how it ended, durably.
   *
   * @param lastWord undefined when the site need not be told
   * @returns false when it had ended before: then nothing is said
   * @throws DISK_FULL
   */
  end(
    { packageId, jobSerial }: PackageAction,
    lastWord: (job: PullJob) => StateMessageFacts | undefined,
  ): Promise<boolean> {
    return this.#queue.run(async () => {
      const job = this.#jobs.get(packageId);
      if (job?.jobSerial !== jobSerial) return false;
      const deletion = this.#rows.delete(packageId);
      const message = lastWord(job);
      await this.#write([deletion], { messages: message ? [message] : [] }, true);
      this.#jobs.delete(packageId);
      return true;
    });
  }

  get #rows() {
    return this.#store.records(keySpaces.pullJobs);
  }

  /** The outbox wants its batches synced; the state of a job alone is found again by looking. */
  async #write(
    own: readonly Change[],
    { messages = [], changes = [] }: JobEffects,
    isPromise: boolean,
  ): Promise<void> {
    const told = messages.flatMap((message) => this.#outbox.add(message));
    const sync = isPromise || told.length > 0;
    await this.#store.write([...own, ...changes, ...told], { sync });
  }
}
