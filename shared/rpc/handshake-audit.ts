import type { Clock } from '../runtime/clock.ts';
import type { AuditEvent } from './audit-event.ts';
import { unauthenticated } from './audit-event.ts';
import { BoundedAudit, defaultBoundedAuditConfig } from './bounded-audit.ts';

/** Writes refused TLS handshakes to the audit trail, so few that nobody can fill a disk by knocking. */
export class HandshakeAudit {
  readonly #audit: BoundedAudit;

  constructor(
    needs: { onAudit: (event: AuditEvent) => void; clock: Pick<Clock, 'monotonicMs'> },
    config = defaultBoundedAuditConfig,
  ) {
    this.#audit = new BoundedAudit(needs, config);
  }

  /** A caller at this address did not get past TLS. */
  refused(address: string, reason: string): void {
    this.#audit.record({
      caller: unauthenticated,
      address,
      method: 'tls-handshake',
      result: 'PEER_NOT_ALLOWED',
      detail: reason,
    });
  }
}
