/** Who called what, with which result: a row of the audit trail. Holds no secrets. */
export interface AuditRecord {
  readonly serial: number;
  readonly timeMs: number;
  /** The identity in the caller's certificate, or "unauthenticated". */
  readonly caller: string;
  readonly address: string;
  /** Full method such as /waybill.v1.Admin/CreatePackage, or a word for what is none (audit-event.ts). */
  readonly method: string;
  /** "ok", or the error code. */
  readonly result: string;
  readonly detail: string;
  /**
   * SHA-256, hex, that the record before this one has; of the first, `noRecordHash`. Absent with `hash` in
   * records of older programs.
   */
  readonly previousHash?: string;
  /** SHA-256, hex, over the hash before and all of the above (docs/trust.md, 8). */
  readonly hash?: string;
}

/** A place in an audit trail: a record's serial and hash, which stands for all that was before it. */
export interface AuditPlace {
  readonly serial: number;
  readonly hash: string;
}

/** The newest record of a site's audit trail, as the site has told: a row of "audit heads". */
export interface AuditHead extends AuditPlace {
  readonly siteCode: string;
  /** In "audit head history" by the clock of the site that keeps it. */
  readonly toldAtMs: number;
}

/** What stands before the first record of a chain. */
export const noRecordHash = '0'.repeat(64);
