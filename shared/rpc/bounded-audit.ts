import type { Clock } from '../runtime/clock.ts';
import type { AuditEvent } from './audit-event.ts';
import { addressGroupOf } from './enrollment-connections.ts';

/** How many refusals are written down. */
export interface BoundedAuditConfig {
  /** For one address, or one caller where these are counted, within `windowMs`. @default 5 */
  readonly recordsPerAddressMax: number;
  /** For all together, within `windowMs`. @default 30 */
  readonly recordsMax: number;
  /** @default 60_000 */
  readonly windowMs: number;
}

/** Enough to see who knocks; a flood that lasts costs about 10 MB a day. */
export const defaultBoundedAuditConfig: BoundedAuditConfig = {
  recordsPerAddressMax: 5,
  recordsMax: 30,
  windowMs: 60_000,
};

/**
 * Refused calls, of callers with a certificate, by the policy or by their methods: each of them once, whatever somebody tries out by
 * hand; of a flood enough to see what it is.
 */
export const refusedCallAuditConfig: BoundedAuditConfig = {
  recordsPerAddressMax: 600,
  recordsMax: 3_000,
  windowMs: 60_000,
};

/** Callers over a limit: it is one flood that is told of. */
export const overLimitAuditConfig: BoundedAuditConfig = {
  recordsPerAddressMax: 5,
  recordsMax: 60,
  windowMs: 60_000,
};

/**
 * Writes what strangers were refused to the audit trail, but so little that nobody can fill a disk by
 * knocking: what is left out is counted and told with the first record of the next window.
 */
export class BoundedAudit {
  readonly #onAudit: (event: AuditEvent) => void;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #config: BoundedAuditConfig;
  /** Records by address or caller in this window; never more entries than `recordsMax`. */
  readonly #recordCounts = new Map<string, number>();
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #recordCount = 0;
  #leftOutCount = 0;

  constructor(
    needs: { onAudit: (event: AuditEvent) => void; clock: Pick<Clock, 'monotonicMs'> },
    config = defaultBoundedAuditConfig,
  ) {
    this.#onAudit = needs.onAudit;
    this.#clock = needs.clock;
    this.#config = config;
  }

  /** Writes it down, or counts it. @param of whose records are counted together; of IPv6, a /64 is one address */
  record(event: AuditEvent, of = addressGroupOf(event.address)): void {
    this.#beginWindowIfDue();
    const ofOne = this.#recordCounts.get(of) ?? 0;
    const { recordsMax, recordsPerAddressMax } = this.#config;
    if (this.#recordCount >= recordsMax || ofOne >= recordsPerAddressMax) {
      this.#leftOutCount++;
      return;
    }
    this.#recordCounts.set(of, ofOne + 1);
    this.#recordCount++;
    const leftOut = this.#leftOutCount > 0 ? `; ${this.#leftOutCount} more were not recorded` : '';
    this.#leftOutCount = 0;
    this.#onAudit({ ...event, detail: event.detail + leftOut });
  }

  #beginWindowIfDue(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowStartMs < this.#config.windowMs) return;
    this.#windowStartMs = nowMs;
    this.#recordCounts.clear();
    this.#recordCount = 0;
  }
}
