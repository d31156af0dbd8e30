import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';

/** Waits for DPs that could not be reached: one watch a DP, however many jobs wait for it. */
export class ReturnWatch {
  readonly #connections: Pick<DistributionPointConnections, 'reachable'>;
  readonly #logger: Logger;
  readonly #watchedAddress = new Map<string, AbortController & { address?: string }>();

  constructor(needs: {
    connections: Pick<DistributionPointConnections, 'reachable'>;
    logger: Logger;
  }) {
    this.#connections = needs.connections;
    this.#logger = needs.logger;
  }

  /** Calls `onReturn` once when the DP can be reached; a new address replaces the watch. */
  watch(dp: DistributionPoint, signal: AbortSignal, onReturn: () => Promise<void>): void {
    const known = this.#watchedAddress.get(dp.dpId);
    if (known?.address === dp.address) return;
    known?.abort();
    const watch: AbortController & { address?: string } = new AbortController();
    watch.address = dp.address;
    this.#watchedAddress.set(dp.dpId, watch);
    void this.#wait(dp, AbortSignal.any([signal, watch.signal])).then(async (isBack) => {
      if (this.#watchedAddress.get(dp.dpId) === watch) this.#watchedAddress.delete(dp.dpId);
      if (isBack) await onReturn();
    });
  }

  async #wait(dp: DistributionPoint, signal: AbortSignal): Promise<boolean> {
    await this.#connections.reachable(dp, signal);
    if (signal.aborted) return false;
    this.#logger.info({ dpId: dp.dpId }, 'Distribution point can be reached again');
    return true;
  }
}
