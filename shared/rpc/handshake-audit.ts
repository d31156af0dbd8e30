import type { Clock } from '../runtime/clock.ts';
import type { AuditEvent } from './audit-event.ts';
import { unauthenticated } from './audit-event.ts';
import { RefusalAudit, type RefusalAuditConfig } from './refusal-audit.ts';

/** Enough to see who knocks; a flood that lasts costs about 10 MB a day. */
const defaultHandshakeAuditConfig: RefusalAuditConfig = {
  recordsOfOneMax: 5,
  recordsMax: 30,
  windowMs: 60_000,
};

/** Writes refused TLS handshakes to the audit trail, as far as they are no flood. */
export class HandshakeAudit {
  readonly #refusals: RefusalAudit;

  constructor(
    needs: { onAudit: (event: AuditEvent) => void; clock: Pick<Clock, 'monotonicMs'> },
    config = defaultHandshakeAuditConfig,
  ) {
    this.#refusals = new RefusalAudit(needs, config);
  }

  /** A caller at this address did not get past the handshake; who it is, if that is known. */
  refused(address: string, reason: string, caller = unauthenticated): void {
    this.#refusals.refused(address, {
      caller,
      address,
      method: 'tls-handshake',
      result: caller === unauthenticated ? 'PEER_NOT_ALLOWED' : 'CERTIFICATE_REFUSED',
      detail: reason,
    });
  }
}
