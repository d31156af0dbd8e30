import type { Clock } from '../runtime/clock.ts';
import type { AuditEvent } from './audit-event.ts';
import { unauthenticated } from './audit-event.ts';

/** How many refused handshakes are written down. */
export interface HandshakeAuditConfig {
  /** For one address, within `windowMs`. @default 5 */
  readonly recordsPerAddressMax: number;
  /** For all addresses together, within `windowMs`. @default 30 */
  readonly recordsMax: number;
  /** @default 60_000 */
  readonly windowMs: number;
}

/** Enough to see who knocks; a flood that lasts costs about 10 MB a day. */
const defaultHandshakeAuditConfig: HandshakeAuditConfig = {
  recordsPerAddressMax: 5,
  recordsMax: 30,
  windowMs: 60_000,
};

/**
 * Writes refused TLS handshakes to the audit trail, but so few that nobody can fill a disk by
 * knocking: what is left out is counted and told with the first record of the next window.
 */
export class HandshakeAudit {
  readonly #onAudit: (event: AuditEvent) => void;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #config: HandshakeAuditConfig;
  /** Records by address in this window; never more entries than `recordsMax`. */
  readonly #recordCounts = new Map<string, number>();
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #recordCount = 0;
  #leftOutCount = 0;

  constructor(
    needs: { onAudit: (event: AuditEvent) => void; clock: Pick<Clock, 'monotonicMs'> },
    config = defaultHandshakeAuditConfig,
  ) {
    this.#onAudit = needs.onAudit;
    this.#clock = needs.clock;
    this.#config = config;
  }

  /** A caller at this address did not get past the handshake; who it is, if that is known. */
  refused(address: string, reason: string, caller = unauthenticated): void {
    this.#beginWindowIfDue();
    const ofAddress = this.#recordCounts.get(address) ?? 0;
    const { recordsMax, recordsPerAddressMax } = this.#config;
    if (this.#recordCount >= recordsMax || ofAddress >= recordsPerAddressMax) {
      this.#leftOutCount++;
      return;
    }
    this.#recordCounts.set(address, ofAddress + 1);
    this.#recordCount++;
    this.#record(address, reason, caller);
  }

  #beginWindowIfDue(): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowStartMs < this.#config.windowMs) return;
    this.#windowStartMs = nowMs;
    this.#recordCounts.clear();
    this.#recordCount = 0;
  }

  #record(address: string, reason: string, caller: string): void {
    const leftOut = this.#leftOutCount > 0 ? `; ${this.#leftOutCount} more were not recorded` : '';
    this.#leftOutCount = 0;
    this.#onAudit({
      caller,
      address,
      method: 'tls-handshake',
      result: caller === unauthenticated ? 'PEER_NOT_ALLOWED' : 'CERTIFICATE_REFUSED',
      detail: reason + leftOut,
    });
  }
}
