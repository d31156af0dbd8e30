import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** How many instructions of each sending site are not carried out yet, kept up with every write. */
export class WaitingInstructions {
  readonly #store: Pick<StateStore, 'records' | 'onWritten'>;
  /** Job ID → the site that sent it. */
  readonly #siteOf = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  #unsubscribe = () => {};

  constructor(needs: { store: Pick<StateStore, 'records' | 'onWritten'> }) {
    this.#store = needs.store;
  }

  async load(): Promise<void> {
    this.#unsubscribe = this.#store.onWritten((changes) => this.#onWritten(changes));
    for await (const [jobId, row] of this.#store.records(keySpaces.receivedInstructions).list()) {
      this.#set(jobId, row.sendingSiteCode);
    }
  }

  stop(): void {
    this.#unsubscribe();
  }

  countOf(siteCode: string): number {
    return this.#counts.get(siteCode) ?? 0;
  }

  #onWritten(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.space !== keySpaces.receivedInstructions.name) continue;
      const row = change.type === 'put' ? (change.value as { sendingSiteCode: string }) : undefined;
      this.#set(change.key, row?.sendingSiteCode);
    }
  }

  #set(jobId: string, siteCode: string | undefined): void {
    const before = this.#siteOf.get(jobId);
    if (before !== undefined) this.#counts.set(before, this.countOf(before) - 1);
    this.#siteOf.delete(jobId);
    if (siteCode === undefined) return;
    this.#siteOf.set(jobId, siteCode);
    this.#counts.set(siteCode, this.countOf(siteCode) + 1);
  }
}
