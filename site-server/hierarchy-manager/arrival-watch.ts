/**
 * Gets to know a DP as soon as it can be reached: one that has just enrolled and started, or that is back. It looks
 * at the DPs of which this site does not know that they can be reached; woken by every write of a DP's row
 * or of its health. Writes the health of DPs, by the checker. A crash leaves nothing that is missed: at the start all
 * that are not known to be there are watched for.
 */
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { DistributionPointHealth } from '../../shared/domain/distribution-point-health.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';
import type { DistributionPointChecker } from './distribution-point-checker.ts';
import type { HierarchyManager } from './hierarchy-manager.ts';

export interface ArrivalWatchNeeds {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly hierarchy: Pick<HierarchyManager, 'healthOf'>;
  readonly connections: Pick<DistributionPointConnections, 'reachable'>;
  readonly checker: Pick<DistributionPointChecker, 'check'>;
  readonly clock: Pick<Clock, 'sleep'>;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
}

/** Pauses of the watch; milliseconds. */
export interface ArrivalWatchConfig {
  /** First pause after a DP was there and did not pass its check; doubles. @default 1_000 */
  readonly retryDelayMs: number;
  /** @default 60_000 */
  readonly retryDelayMsMax: number;
  /** At the start, from the begin with one DP to that with the next. @default 25 */
  readonly startGapMs: number;
}

export const defaultArrivalWatchConfig: ArrivalWatchConfig = {
  retryDelayMs: 1_000,
  retryDelayMsMax: 60_000,
  startGapMs: 25,
};

export class ArrivalWatch implements Component {
  readonly #needs: ArrivalWatchNeeds;
  readonly #config: ArrivalWatchConfig;
  /** The DPs of the site, as they were written last. */
  readonly #points = new Map<string, DistributionPoint>();
  readonly #watches = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  #unsubscribe = () => {};

  constructor(needs: ArrivalWatchNeeds, config = defaultArrivalWatchConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {
    const { store, hierarchy } = this.#needs;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    let begunCount = 0;
    for await (const [dpId, point] of store.records(keySpaces.distributionPoints).list()) {
      // One that was written meanwhile is known better.
      if (this.#points.has(dpId)) continue;
      this.#points.set(dpId, point);
      const { reachability } = await hierarchy.healthOf(dpId);
      if (reachability === 'reachable' || this.#points.get(dpId) !== point) continue;
      // Two thousand are not all connected to in the moment in which a site starts.
      this.#begin(point, begunCount * this.#config.startGapMs);
      begunCount += 1;
    }
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    for (const dpId of [...this.#watches.keys()]) this.#end(dpId);
    await Promise.all(this.#running);
  }

  #onWritten(changes: readonly Change[]): void {
    const { distributionPoints, distributionPointHealth } = keySpaces;
    for (const change of changes) {
      if (change.space === distributionPoints.name) {
        if (change.type === 'put') this.#onPoint(change.value as DistributionPoint);
        else this.#forget(change.key);
      }
      if (change.space === distributionPointHealth.name && change.type === 'put') {
        this.#onHealth(change.value as DistributionPointHealth);
      }
    }
  }

  /** A new one, and one at another address, nobody has met there. */
  #onPoint(point: DistributionPoint): void {
    const before = this.#points.get(point.dpId);
    this.#points.set(point.dpId, point);
    if (before?.address === point.address) return;
    this.#end(point.dpId);
    this.#begin(point);
  }

  #onHealth({ dpId, reachability }: DistributionPointHealth): void {
    const point = this.#points.get(dpId);
    if (reachability === 'reachable') this.#end(dpId);
    else if (point) this.#begin(point);
  }

  #forget(dpId: string): void {
    this.#points.delete(dpId);
    this.#end(dpId);
  }

  /** Nothing when it is watched for already. */
  #begin(point: DistributionPoint, delayMs = 0): void {
    const { dpId } = point;
    if (this.#watches.has(dpId)) return;
    const over = new AbortController();
    this.#watches.set(dpId, over);
    // A bug rejects, is nobody's to handle, and ends the process.
    const running = this.#watch(point, delayMs, over.signal).finally(() => {
      this.#running.delete(running);
      if (this.#watches.get(dpId) === over) this.#watches.delete(dpId);
    });
    this.#running.add(running);
  }

  #end(dpId: string): void {
    this.#watches.get(dpId)?.abort(workIsOver);
    this.#watches.delete(dpId);
  }

  async #watch(point: DistributionPoint, delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#needs;
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    try {
      if (delayMs > 0) await clock.sleep(delayMs, signal);
      for (let tryCount = 1; !(await this.#hasArrived(point, signal)); tryCount++) {
        await clock.sleep(retryDelayMs({ tryCount, firstMs, capMs, random }), signal);
      }
    } catch (error) {
      if (!(isAbortError(error) && signal.aborted)) throw error;
    }
  }

  /** Waits until something is there that has the DP's certificate, and asks it who it is. */
  async #hasArrived(point: DistributionPoint, signal: AbortSignal): Promise<boolean> {
    const { connections, checker, logger } = this.#needs;
    const { dpId } = point;
    try {
      if (!(await connections.reachable(point, signal))) return false;
      const { failure } = await checker.check(point, signal);
      if (failure) return false;
      logger.info({ dpId }, 'Distribution point is there');
      return true;
    } catch (err) {
      if (signal.aborted || !isExpected(err)) throw err;
      logger.info({ dpId, err }, 'Distribution point could not be looked at');
      return false;
    }
  }
}

/** What may fail at any time: a channel that is closed, for the DP has another address; a full disk here. */
function isExpected(error: unknown): boolean {
  return error instanceof WaybillError || isAbortError(error);
}
