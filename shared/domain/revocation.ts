/**
 * That certificates of a holder are nobody's any more: the row of the replicated table "revocations".
 * A later moment is never replaced by an earlier one.
 */
export interface Revocation {
  /** Such as `dp/PS1DP1`, see `holderOf`. */
  readonly holder: string;
  /** Every certificate of the holder that begins at or before this moment. */
  readonly revokedAtMs: number;
  readonly reason: string;
  /** The identity URI of who said so. */
  readonly revokedBy: string;
}

/** Whether a certificate that begins then is revoked. */
export function isRevoked(
  notBeforeMs: number,
  revocation: Pick<Revocation, 'revokedAtMs'> | undefined,
): boolean {
  return revocation !== undefined && notBeforeMs <= revocation.revokedAtMs;
}

/** From when on a new certificate of a holder is valid: a little ago, but not before he was revoked. */
export function beginningOf(
  nowMs: number,
  skewMs: number,
  revocation: Pick<Revocation, 'revokedAtMs'> | undefined,
): number {
  // X.509 counts in seconds: the first whole one after it.
  const afterRevocation = revocation ? (Math.floor(revocation.revokedAtMs / 1000) + 1) * 1000 : 0;
  return Math.max(nowMs - skewMs, afterRevocation);
}
