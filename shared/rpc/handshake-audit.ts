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

  /** A caller at this address did not get past the handshake; who it is, if that is known. */
  refused(address: string, reason: string, caller = unauthenticated): void {
    this.#audit.record({
      caller,
      address,
      method: 'tls-handshake',
      result: caller === unauthenticated ? 'PEER_NOT_ALLOWED' : 'CERTIFICATE_REFUSED',
      detail: reason,
    });
  }
}
