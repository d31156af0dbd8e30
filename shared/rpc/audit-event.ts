/** Something for the audit trail: an AuditRecord before its serial and time. */
export interface AuditEvent {
  /** The identity in the caller's certificate, or "unauthenticated". */
  readonly caller: string;
  /** Where the call came from; of "send", where it went. */
  readonly address: string;
  /**
   * Full method, "tls-handshake", "connection": one that was cut, or "send": what the site that keeps
   * the trail sent and another site refused.
   */
  readonly method: string;
  /** "ok", or the error code. */
  readonly result: string;
  /** What was asked, or why it was refused, in words without secrets. */
  readonly detail: string;
  /**
   * It always gets a record, in which this does not stand: it has used up what an administrator gave once, or
   * failed in a way that says not what an administrator has changed by then.
   */
  readonly isOnce?: true;
  /**
   * Who refused what this site asked: its identity. It has room of its own for such records, since the
   * caller is always this site. It does not stand in the record.
   */
  readonly refusedBy?: string;
}

/** The caller of a connection whose certificate names nobody. */
export const unauthenticated = 'unauthenticated';
