import type { Clock } from '../runtime/clock.ts';
import type { AuditEvent } from './audit-event.ts';

/** How many refusals are written down. */
export interface RefusalAuditConfig {
  /** For one caller or address, within `windowMs`. */
  readonly recordsOfOneMax: number;
  /** For all together, within `windowMs`. */
  readonly recordsMax: number;
  /** @default 60_000 */
  readonly windowMs: number;
}

/**
 * Refused calls, of callers with a certificate: each of them once, whatever somebody tries out by
 * hand; of a flood enough to see what it is.
 */
export const refusedCallAuditConfig: RefusalAuditConfig = {
  recordsOfOneMax: 600,
  recordsMax: 3_000,
  windowMs: 60_000,
};

/** Callers over a limit: it is one flood that they are told of. */
export const overLimitAuditConfig: RefusalAuditConfig = {
  recordsOfOneMax: 5,
  recordsMax: 60,
  windowMs: 60_000,
};

/**
 * Writes refusals to the audit trail, but so few that nobody can fill a disk with them: what is left out
 * is counted and told with the first record of the next window.
 */
export class RefusalAudit {
  readonly #onAudit: (event: AuditEvent) => void;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #config: RefusalAuditConfig;
  /** Records by caller or address in this window; never more entries than `recordsMax`. */
  readonly #recordCounts = new Map<string, number>();
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #recordCount = 0;
  #leftOutCount = 0;

  constructor(
    needs: { onAudit: (event: AuditEvent) => void; clock: Pick<Clock, 'monotonicMs'> },
    config: RefusalAuditConfig,
  ) {
    this.#onAudit = needs.onAudit;
    this.#clock = needs.clock;
    this.#config = config;
  }

  /** @param of the caller or address that is counted */
  refused(of: string, event: AuditEvent): void {
    this.#beginWindowIfDue();
    const ofOne = this.#recordCounts.get(of) ?? 0;
    const { recordsMax, recordsOfOneMax } = this.#config;
    if (this.#recordCount >= recordsMax || ofOne >= recordsOfOneMax) {
      this.#leftOutCount++;
      return;
    }
    this.#recordCounts.set(of, ofOne + 1);
    this.#recordCount++;
    this.#record(event);
  }

  #beginWindowIfDue(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowStartMs < this.#config.windowMs) return;
    this.#windowStartMs = nowMs;
    this.#recordCounts.clear();
    this.#recordCount = 0;
  }

  #record(event: AuditEvent): void {
    const leftOut = this.#leftOutCount > 0 ? `; ${this.#leftOutCount} more were not recorded` : '';
    this.#leftOutCount = 0;
    this.#onAudit({ ...event, detail: event.detail + leftOut });
  }
}
