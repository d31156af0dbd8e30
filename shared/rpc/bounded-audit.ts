import type { Clock } from '../runtime/clock.ts';
import type { AuditEvent } from './audit-event.ts';

/** How many refusals are written down. */
export interface BoundedAuditConfig {
  /** For one address, within `windowMs`. @default 5 */
  readonly recordsPerAddressMax: number;
  /** For all addresses together, within `windowMs`. @default 30 */
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
 * Writes what strangers were refused to the audit trail, but so little that nobody can fill a disk by
 * knocking: what is left out is counted and told with the first record of the next window.
 */
export class BoundedAudit {
  readonly #onAudit: (event: AuditEvent) => void;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #config: BoundedAuditConfig;
  /** Records by address in this window; never more entries than `recordsMax`. */
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

  /** Writes it down, or counts it. */
  record(event: AuditEvent): void {
    this.#beginWindowIfDue();
    const ofAddress = this.#recordCounts.get(event.address) ?? 0;
    const { recordsMax, recordsPerAddressMax } = this.#config;
    if (this.#recordCount >= recordsMax || ofAddress >= recordsPerAddressMax) {
      this.#leftOutCount++;
      return;
    }
    this.#recordCounts.set(event.address, ofAddress + 1);
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
