/** Who called what, with which result: a row of the audit trail. Holds no secrets. */
export interface AuditRecord {
  readonly serial: number;
  readonly timeMs: number;
  /** The identity in the caller's certificate, or "unauthenticated". */
  readonly caller: string;
  readonly address: string;
  /** Full method such as /waybill.v1.Admin/CreatePackage, or "tls-handshake". */
  readonly method: string;
  /** "ok", or the error code. */
  readonly result: string;
  readonly detail: string;
}
