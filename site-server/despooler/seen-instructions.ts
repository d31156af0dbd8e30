import { WaybillError } from '../../shared/domain/errors.ts';
import type { SeenInstruction } from '../../shared/domain/site-instruction.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/**
 * Instructions that were taken lately, each once: the table "seen instructions", and the same in
 * memory. A row is kept for as long as its instruction could still count as fresh.
 */
export class SeenInstructions {
  readonly #store: Pick<StateStore, 'records'>;
  readonly #countMax: number;
  /** The oldest first. */
  readonly #seen = new Map<string, SeenInstruction>();
  /** How many are of each site. */
  readonly #counts = new Map<string, number>();

  /** @param config.countMax rows of one site */
  constructor(needs: { store: Pick<StateStore, 'records'> }, config: { countMax: number }) {
    this.#store = needs.store;
    this.#countMax = config.countMax;
  }

  async load(): Promise<void> {
    const rows: [string, SeenInstruction][] = [];
    for await (const row of this.#rows.list()) rows.push(row);
    rows.sort(([, a], [, b]) => a.forgottenAtMs - b.forgottenAtMs);
    for (const [key, row] of rows) this.#add(key, row);
  }

  /** Whether this very instruction was taken, or another one with its nonce. */
  find(
    siteCode: string,
    { nonce, signedHash }: { readonly nonce: string; readonly signedHash: string },
  ): 'same' | 'other' | undefined {
    const seen = this.#seen.get(joinKey(siteCode, nonce));
    if (!seen) return undefined;
    return seen.signedHash === signedHash ? 'same' : 'other';
  }

  /**
   * What remembers an instruction, and forgets those whose time is over.
   *
   * @throws RECEIVER_BUSY when so many came within that time that no more can be remembered
   */
  remember(
    siteCode: string,
    nonce: string,
    { row, nowMs }: { readonly row: SeenInstruction; readonly nowMs: number },
  ): Change[] {
    const forgotten: Change[] = [];
    for (const [key, { forgottenAtMs }] of this.#seen) {
      if (forgottenAtMs > nowMs) break;
      this.#delete(key);
      forgotten.push(this.#rows.delete(key));
    }
    if ((this.#counts.get(siteCode) ?? 0) >= this.#countMax) {
      const what = 'instructions of the last minutes';
      throw new WaybillError({ code: 'RECEIVER_BUSY', what, limit: this.#countMax });
    }
    const key = joinKey(siteCode, nonce);
    this.#add(key, row);
    return [...forgotten, this.#rows.put(key, row)];
  }

  /** It was not taken after all: its batch could not be written. */
  forget(siteCode: string, nonce: string): void {
    this.#delete(joinKey(siteCode, nonce));
  }

  #add(key: string, row: SeenInstruction): void {
    this.#seen.set(key, row);
    const siteCode = siteOf(key);
    this.#counts.set(siteCode, (this.#counts.get(siteCode) ?? 0) + 1);
  }

  #delete(key: string): void {
    if (!this.#seen.delete(key)) return;
    const siteCode = siteOf(key);
    const count = (this.#counts.get(siteCode) ?? 1) - 1;
    if (count > 0) this.#counts.set(siteCode, count);
    else this.#counts.delete(siteCode);
  }

  get #rows() {
    return this.#store.records(keySpaces.seenInstructions);
  }
}

function siteOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
