import { waiting } from '../../shared/domain/send-request-moves.ts';
import type { SendRequestTable } from '../scheduler/send-request-table.ts';

export interface DestinationReturnsNeeds {
  readonly requests: Pick<SendRequestTable, 'open' | 'change'>;
  /**
   * Calls the listener each time another site can be reached again: its replication stream is there.
   *
   * @returns ends it
   */
  readonly onConnected: (siteCode: string, listener: () => void) => () => void;
}

/** Notices when a site comes back: everything that waits for it is tried at once then. In memory. */
export class DestinationReturns {
  readonly #needs: DestinationReturnsNeeds;
  readonly #unwatch = new Map<string, () => void>();
  readonly #counts = new Map<string, number>();

  constructor(needs: DestinationReturnsNeeds) {
    this.#needs = needs;
  }

  /** Watches the destinations of all open requests from now on. */
  watchAll(): void {
    for (const { destinationSiteCode } of this.#needs.requests.open()) {
      if (destinationSiteCode !== '') this.#watch(destinationSiteCode);
    }
  }

  stop(): void {
    for (const unwatch of this.#unwatch.values()) unwatch();
  }

  /** How often a site came back since it is watched. */
  countOf(siteCode: string): number {
    return this.#counts.get(siteCode) ?? 0;
  }

  #watch(siteCode: string): void {
    if (this.#unwatch.has(siteCode)) return;
    const { requests, onConnected } = this.#needs;
    const unwatch = onConnected(siteCode, () => {
      this.#counts.set(siteCode, this.countOf(siteCode) + 1);
      for (const { requestId, destinationSiteCode, state } of [...requests.open()]) {
        if (destinationSiteCode !== siteCode || state !== 'retrying') continue;
        void requests.change(requestId, (one) => (one.state === 'retrying' ? waiting(one) : one));
      }
    });
    this.#unwatch.set(siteCode, unwatch);
  }
}
