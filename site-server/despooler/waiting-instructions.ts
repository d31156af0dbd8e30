import type { MiniJob } from '../../shared/domain/send-request.ts';
import type { ReceivedInstruction } from '../../shared/domain/site-instruction.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/**
 * How many instructions of each sending site are not carried out yet, and how many packages of each source
 * site are on their way through this one to each final site, kept up with every write.
 */
export class WaitingInstructions {
  readonly #store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly #instructions = new CountedRows();
  readonly #forwarded = new CountedRows();
  #unsubscribe = () => {};

  constructor(needs: { store: Pick<StateStore, 'records' | 'onWritten'> }) {
    this.#store = needs.store;
  }

  async load(): Promise<void> {
    this.#unsubscribe = this.#store.onWritten((changes) => this.#onWritten(changes));
    for await (const [jobId, row] of this.#store.records(keySpaces.receivedInstructions).list()) {
      this.#instructions.set(jobId, row.sendingSiteCode);
    }
    for await (const [jobId, job] of this.#store.records(keySpaces.miniJobs).list()) {
      this.#forwarded.set(jobId, forwardedWayOf(job));
    }
  }

  stop(): void {
    this.#unsubscribe();
  }

  countOf(siteCode: string): number {
    return this.#instructions.countOf(siteCode);
  }

  forwardedCountOf(way: Pick<MiniJob, 'sourceSiteCode' | 'finalSiteCode'>): number {
    return this.#forwarded.countOf(wayOf(way));
  }

  #onWritten(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.space === keySpaces.receivedInstructions.name) {
        const row = change.type === 'put' ? (change.value as ReceivedInstruction) : undefined;
        this.#instructions.set(change.key, row?.sendingSiteCode);
      } else if (change.space === keySpaces.miniJobs.name) {
        const job = change.type === 'put' ? (change.value as MiniJob) : undefined;
        this.#forwarded.set(change.key, job && forwardedWayOf(job));
      }
    }
  }
}

function forwardedWayOf(job: MiniJob): string | undefined {
  return job.forwarded === undefined ? undefined : wayOf(job);
}

function wayOf(way: Pick<MiniJob, 'sourceSiteCode' | 'finalSiteCode'>): string {
  return `${way.sourceSiteCode}/${way.finalSiteCode}`;
}

/** Rows by job, and how many there are of each site, or way. */
class CountedRows {
  readonly #whatOf = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  countOf(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  set(jobId: string, what: string | undefined): void {
    const before = this.#whatOf.get(jobId);
    if (before !== undefined) this.#counts.set(before, this.countOf(before) - 1);
    this.#whatOf.delete(jobId);
    if (what === undefined) return;
    this.#whatOf.set(jobId, what);
    this.#counts.set(what, this.countOf(what) + 1);
  }
}
