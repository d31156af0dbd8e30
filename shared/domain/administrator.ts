/** An administrator whom a site vouches for, or is to: a row of its table "administrators". */
export interface Administrator {
  readonly name: string;
  /** With role and scope. */
  readonly identityUri: string;
  readonly createdAtMs: number;
  /** Identity URI of who added him. */
  readonly createdBy: string;
  /** 0: he has not been enrolled yet. */
  readonly enrolledAtMs: number;
  /** He is one no more; the row stays, so that nothing that was issued earlier brings him back. */
  readonly deletedAtMs?: number;
}
