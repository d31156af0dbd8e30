/** What a used token has brought; kept so that an answer lost on the way is given once more. */
export interface EnrollmentAnswer {
  /** DER, base64. Of a site: its authority. */
  readonly certificate: string;
  /** DER of the issuer's certificate, base64; empty when the root itself is it. */
  readonly issuerCertificate: string;
}

/** Why a token lets nobody in any more, though it was not used and its time is not over. */
export type TokenRevocation = 'administrator' | 'wrong-secrets' | 'newer-token' | 'holder-gone';

/** A token as the site that made it keeps it: a row of "enrollment tokens". Not the token itself. */
export interface EnrollmentRow {
  /** 16 hex digits. */
  readonly tokenId: string;
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
  /** The identity it makes somebody; of an administrator with role and scope. */
  readonly identityUri: string;
  readonly createdAtMs: number;
  /** Identity URI of the administrator who made it. */
  readonly createdBy: string;
  readonly expiresAtMs: number;
  /** How often somebody knew its ID and not its secret. */
  readonly wrongSecretCount: number;
  readonly revoked?: { readonly atMs: number; readonly because: TokenRevocation };
  readonly used?: {
    readonly atMs: number;
    /** Where the call came from. */
    readonly callerAddress: string;
    /** SHA-256 of the public key (SPKI, DER), hex. */
    readonly publicKeyHash: string;
    readonly answer: EnrollmentAnswer;
  };
}

export type EnrollmentState = 'unused' | 'used' | 'expired' | 'revoked';

/** After so many wrong secrets a token is revoked. */
export const wrongSecretCountMax = 10;

/** Why an enrollment is refused. Each has words of its own; only the audit trail hears of the second. */
export type EnrollmentRefusal =
  | 'unknown'
  | 'wrong-secret'
  | 'used'
  | 'late'
  | 'revoked'
  | 'other-name'
  | 'holder-gone';

const newToken = 'have a new token made';

/** Why, and what to do: the end of "Enrollment … was refused: ". */
export const enrollmentRefusalWords: Readonly<Record<EnrollmentRefusal, string>> = {
  unknown: `this site has no such token. Ask the site that made it, or ${newToken}`,
  'wrong-secret': 'the secret of the token is another one',
  used: `the token was used before, with another key. If that was not you, somebody else is enrolled by this name: revoke its certificate, then ${newToken}`,
  late: `the time of the token is over; ${newToken}`,
  revoked: `the token was revoked; ${newToken}`,
  'other-name': 'the token is for another name; enroll by the name it was made for',
  'holder-gone': 'whom the token is for is no part of the site any more; add it again',
};

/** What a caller is told: of one who does not know the secret, not that the rest is right. */
export function toldRefusal(refusal: EnrollmentRefusal): EnrollmentRefusal {
  return refusal === 'wrong-secret' ? 'unknown' : refusal;
}

/** The refusal a text names, or undefined. */
export function parseEnrollmentRefusal(text: string): EnrollmentRefusal | undefined {
  return Object.hasOwn(enrollmentRefusalWords, text) ? (text as EnrollmentRefusal) : undefined;
}

/** What a token is worth now. A used one stays used. */
export function stateOfEnrollment(row: EnrollmentRow, nowMs: number): EnrollmentState {
  if (row.used) return 'used';
  if (row.revoked) return 'revoked';
  return nowMs >= row.expiresAtMs ? 'expired' : 'unused';
}

/** Somebody who comes with a token. */
export interface EnrollmentClaim {
  /** SHA-256 of the secret in the token, hex. */
  readonly secretHash: string;
  /** Whether he wants to be whom the token is for, whatever role or scope he names. */
  readonly isHolder: boolean;
  /** SHA-256 of the public key he wants a certificate for, hex. */
  readonly publicKeyHash: string;
}

export type EnrollmentDecision =
  | { readonly kind: 'issue' }
  | { readonly kind: 'repeat'; readonly answer: EnrollmentAnswer }
  | {
      readonly kind: 'refuse';
      readonly refusal: EnrollmentRefusal;
      /** The row as it is to be from now on, when the refusal counts. */
      readonly row?: EnrollmentRow;
    };

/**
 * What becomes of a claim (SEC-2). Who does not know the secret learns nothing of the token, and costs
 * it a try. The same key gets its answer again while the token's time lasts.
 */
export function enrollmentDecision(
  row: EnrollmentRow | undefined,
  claim: EnrollmentClaim,
  nowMs: number,
): EnrollmentDecision {
  const refuse = (refusal: EnrollmentRefusal) => ({ kind: 'refuse', refusal }) as const;
  if (!row) return refuse('unknown');
  if (row.secretHash !== claim.secretHash) {
    return { ...refuse('wrong-secret'), ...withWrongSecret(row, nowMs) };
  }
  if (row.revoked && !row.used) return refuse('revoked');
  if (!claim.isHolder) return refuse('other-name');
  if (row.used && row.used.publicKeyHash !== claim.publicKeyHash) return refuse('used');
  if (nowMs >= row.expiresAtMs) return refuse('late');
  return row.used ? { kind: 'repeat', answer: row.used.answer } : { kind: 'issue' };
}

function withWrongSecret(row: EnrollmentRow, nowMs: number): { row?: EnrollmentRow } {
  if (stateOfEnrollment(row, nowMs) !== 'unused') return {};
  const counted = { ...row, wrongSecretCount: row.wrongSecretCount + 1 };
  const isEnough = counted.wrongSecretCount >= wrongSecretCountMax;
  return { row: isEnough ? revokedEnrollment(counted, nowMs, 'wrong-secrets') : counted };
}

/** The row of a token that lets nobody in from now on. */
export function revokedEnrollment(
  row: EnrollmentRow,
  atMs: number,
  because: TokenRevocation,
): EnrollmentRow {
  return { ...row, revoked: { atMs, because } };
}

/** Since when a token is of no use to anybody, or undefined while it is of some. */
export function enrollmentEndedAtMs(row: EnrollmentRow, nowMs: number): number | undefined {
  if (row.revoked && !row.used) return row.revoked.atMs;
  // The answer of a used one is repeated until then.
  return nowMs >= row.expiresAtMs ? row.expiresAtMs : undefined;
}

/** Why a renewal is refused. */
export type RenewalRefusal =
  | 'foreign'
  | 'other-site'
  | 'other-authority'
  | 'wrong-key'
  | 'not-yet-valid'
  | 'too-late'
  | 'revoked'
  | 'holder-gone';

/** Why, and what to do: the end of "Renewal … was refused: ". */
export const renewalRefusalWords: Readonly<Record<RenewalRefusal, string>> = {
  foreign: `the certificate is not of this hierarchy; ${newToken}`,
  'other-site': `another site has issued the certificate; ask that one, or ${newToken}`,
  'other-authority': `of a site only the authority is renewed that it has now, and for the same key; ${newToken}`,
  'wrong-key': 'the request is not signed with the key of the certificate',
  'not-yet-valid': 'the certificate is not valid yet; check the clocks of both machines',
  'too-late': `the certificate expired too long ago; ${newToken}`,
  revoked: `the certificate is revoked; ${newToken}`,
  'holder-gone': `whom the certificate is for is no part of the site any more; add it again, and ${newToken}`,
};

/** The refusal a text names, or undefined. */
export function parseRenewalRefusal(text: string): RenewalRefusal | undefined {
  return Object.hasOwn(renewalRefusalWords, text) ? (text as RenewalRefusal) : undefined;
}

/**
 * Why a certificate may not be followed by a new one, by the clock and the revocations; undefined when
 * it may. One that has expired may, for a while.
 */
export function renewalRefusalOf(
  certificate: { readonly notBeforeMs: number; readonly notAfterMs: number },
  facts: { nowMs: number; skewMs: number; graceMs: number; isRevoked: boolean },
): RenewalRefusal | undefined {
  if (facts.isRevoked) return 'revoked';
  if (facts.nowMs + facts.skewMs < certificate.notBeforeMs) return 'not-yet-valid';
  return facts.nowMs > certificate.notAfterMs + facts.graceMs ? 'too-late' : undefined;
}
