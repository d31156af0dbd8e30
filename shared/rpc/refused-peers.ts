import { Allowance } from './allowance.ts';
import type { Flow } from './peer-limits.ts';

/**
 * Those who come with certificates that count for nothing any more, each counted by itself: behind one address there
 * may be all DPs of a site, hundreds of them still with certificates of an authority that was revoked, while others
 * have new ones already. A crash leaves nothing.
 */
export class RefusedPeers {
  readonly #flow: Flow;
  readonly #allowances = new Map<string, Allowance>();

  /** @param flow connections of one of them that are refused without cost for its address */
  constructor(flow: Flow) {
    this.#flow = flow;
  }

  /** Of how many something is remembered. */
  get size(): number {
    return this.#allowances.size;
  }

  /**
   * One more connection is refused.
   *
   * @param name of whom, and by which authority
   * @returns whether its address has to pay for it
   */
  refused(name: string, nowMs: number): boolean {
    const allowance = this.#allowances.get(name) ?? new Allowance(this.#flow, nowMs);
    this.#allowances.set(name, allowance);
    return !allowance.take(1, nowMs);
  }

  /** Forgets those who have not come for a while. */
  forget(nowMs: number): void {
    for (const [name, allowance] of this.#allowances) {
      if (allowance.isFull(nowMs)) this.#allowances.delete(name);
    }
  }
}
