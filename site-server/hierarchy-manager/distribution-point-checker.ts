import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import {
  type CheckFailure,
  type CheckResult,
  misfitOf,
  withAnswer,
  withoutAnswer,
} from '../../shared/domain/distribution-point-check.ts';
import {
  type DistributionPointHealth,
  unreachableReasonOf,
} from '../../shared/domain/distribution-point-health.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { isAbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { SharedMakings } from '../../shared/runtime/shared-makings.ts';
import type { HierarchyManager } from './hierarchy-manager.ts';

/**
 * Asks a DP who it is and how much room it has.
 *
 * @throws WaybillError of a conversation between agents, such as PEER_UNREACHABLE
 * @throws AbortError when the signal fires
 */
export type CheckDistributionPoint = (
  distributionPoint: DistributionPoint,
  signal: AbortSignal,
) => Promise<CheckResult>;

/** What the checker needs. */
export interface DistributionPointCheckerComponents {
  readonly checkDistributionPoint: CheckDistributionPoint;
  readonly hierarchy: Pick<HierarchyManager, 'healthOf' | 'updateHealth'>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
}

/** How the checker is tuned. */
export interface DistributionPointCheckerConfig {
  /** A DP that has not answered by then counts as unreachable. @default 5_000 */
  readonly checkDeadlineMs: number;
  /** A failure this fresh is not asked for again, so that a dead DP delays few. @default 10_000 */
  readonly failureReuseMs: number;
}

export const defaultDistributionPointCheckerConfig: DistributionPointCheckerConfig = {
  checkDeadlineMs: 5_000,
  failureReuseMs: 10_000,
};

/** What a check found; recorded in the DP's health. */
export interface CheckedDistributionPoint {
  readonly health: DistributionPointHealth;
  /** Absent when the DP passed. */
  readonly failure?: CheckFailure;
}

interface KnownFailure {
  readonly address: string;
  readonly checked: CheckedDistributionPoint;
  readonly atMs: number;
}

/** The preliminary check of standard DPs (DM-4): reachable, the right one, of this site. */
export class DistributionPointChecker {
  readonly #components: DistributionPointCheckerComponents;
  readonly #config: DistributionPointCheckerConfig;
  readonly #running = new SharedMakings<CheckedDistributionPoint>();
  readonly #failures = new Map<string, KnownFailure>();

  constructor(
    components: DistributionPointCheckerComponents,
    config = defaultDistributionPointCheckerConfig,
  ) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * Checks before a job: shares a check of the DP that runs already, which goes on while anybody waits
   * for it, and takes the word of one that failed a moment ago.
   *
   * @throws AbortError when the signal fires
   */
  async checkForJob(
    distributionPoint: DistributionPoint,
    signal: AbortSignal,
  ): Promise<CheckedDistributionPoint> {
    const { dpId, address } = distributionPoint;
    const failure = this.#failures.get(dpId);
    if (failure?.address === address && (await this.#holds(failure))) return failure.checked;
    const check = (shared: AbortSignal) => this.check(distributionPoint, shared);
    return this.#running.run({ key: `${dpId}@${address}` }, check, signal);
  }

  /**
   * Asks the DP now and records what it says.
   *
   * @throws AbortError when the signal fires
   */
  async check(
    distributionPoint: DistributionPoint,
    signal: AbortSignal,
  ): Promise<CheckedDistributionPoint> {
    const checked = await this.#ask(distributionPoint, signal);
    const { dpId, address } = distributionPoint;
    const atMs = this.#components.clock.monotonicMs();
    if (checked.failure) this.#failures.set(dpId, { address, checked, atMs });
    else this.#failures.delete(dpId);
    return checked;
  }

  async #ask(
    distributionPoint: DistributionPoint,
    signal: AbortSignal,
  ): Promise<CheckedDistributionPoint> {
    const { hierarchy } = this.#components;
    const { dpId } = distributionPoint;
    const answer = await this.#answerOf(distributionPoint, signal);
    if (answer instanceof WaybillError) {
      const reason = answer.message;
      const health = await hierarchy.updateHealth(dpId, (before, nowMs) =>
        withoutAnswer(before, unreachableReasonOf(answer), nowMs),
      );
      return { health, failure: { waitingReason: 'dp-unreachable', reason } };
    }
    const failure = misfitOf(distributionPoint, answer);
    const health = await hierarchy.updateHealth(dpId, (before, nowMs) =>
      withAnswer(before, { result: answer, reason: failure?.reason ?? '' }, nowMs),
    );
    return { health, ...(failure && { failure }) };
  }

  async #answerOf(
    distributionPoint: DistributionPoint,
    signal: AbortSignal,
  ): Promise<CheckResult | WaybillError> {
    try {
      return await this.#askWithDeadline(distributionPoint, signal);
    } catch (error) {
      if (error instanceof WaybillError) return error;
      throw error;
    }
  }

  async #askWithDeadline(
    distributionPoint: DistributionPoint,
    signal: AbortSignal,
  ): Promise<CheckResult> {
    const { clock, checkDistributionPoint } = this.#components;
    const deadlineMs = this.#config.checkDeadlineMs;
    const answered = new AbortController();
    const late = new AbortController();
    const timer = clock.sleep(deadlineMs, answered.signal).then(
      () => late.abort(),
      () => {},
    );
    try {
      return await checkDistributionPoint(
        distributionPoint,
        AbortSignal.any([signal, late.signal]),
      );
    } catch (error) {
      const isLate = isAbortError(error) && late.signal.aborted && !signal.aborted;
      if (!isLate) throw error;
      const peer = `distribution point ${distributionPoint.dpId}`;
      throw new WaybillError({ code: 'DEADLINE_EXCEEDED', peer, method: 'Check', deadlineMs });
    } finally {
      answered.abort(workIsOver);
      await timer;
    }
  }

  /** Whether a failure is fresh, and nobody has reached the DP since. */
  async #holds({ checked, atMs }: KnownFailure): Promise<boolean> {
    const ageMs = this.#components.clock.monotonicMs() - atMs;
    if (ageMs >= this.#config.failureReuseMs) return false;
    const health = await this.#components.hierarchy.healthOf(checked.health.dpId);
    return health.reachability === 'unreachable';
  }
}
