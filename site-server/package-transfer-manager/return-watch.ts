import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';

export interface ReturnWatchNeeds {
  readonly connections: Pick<DistributionPointConnections, 'reachable' | 'forget'>;
  readonly logger: Logger;
}

interface Watch {
  readonly address: string;
  readonly controller: AbortController;
  /** Fires when nobody waits any more. */
  readonly signal: AbortSignal;
}

/** Waits for DPs that could not be reached: one watch a DP, however many jobs wait for it. */
export class ReturnWatch {
  readonly #needs: ReturnWatchNeeds;
  readonly #watches = new Map<string, Watch>();

  constructor(needs: ReturnWatchNeeds) {
    this.#needs = needs;
  }

  /** Calls `onReturn` once when the DP can be reached; a new address replaces the watch. */
  watch(dp: DistributionPoint, signal: AbortSignal, onReturn: () => Promise<void>): void {
    const known = this.#watches.get(dp.dpId);
    if (known?.address === dp.address) return;
    known?.controller.abort();
    const controller = new AbortController();
    const either = AbortSignal.any([signal, controller.signal]);
    const watch = { address: dp.address, controller, signal: either };
    this.#watches.set(dp.dpId, watch);
    void this.#wait(dp, watch, onReturn);
  }

  /** The DP is not of this site any more: nobody waits for it, nor keeps its connection. */
  forget(dpId: string): void {
    this.#watches.get(dpId)?.controller.abort();
    this.#watches.delete(dpId);
    this.#needs.connections.forget(dpId);
  }

  /** Never rejects: whoever waits tries by itself, later. */
  async #wait(dp: DistributionPoint, watch: Watch, onReturn: () => Promise<void>): Promise<void> {
    const { connections, logger } = this.#needs;
    const { dpId } = dp;
    try {
      const reachable = connections.reachable(dp, watch.signal);
      const isBack = await reachable.finally(() => this.#ended(dpId, watch));
      if (!isBack) return;
      logger.info({ dpId }, 'Distribution point can be reached again');
      await onReturn();
    } catch (err) {
      logger.warn({ dpId, err }, 'Watch for the return of a distribution point failed');
    }
  }

  #ended(dpId: string, watch: Watch): void {
    if (this.#watches.get(dpId) === watch) this.#watches.delete(dpId);
  }
}
