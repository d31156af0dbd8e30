import { renewalAtMs } from './certificate-authority.ts';
import { ageOf, type CertificateLife, refusalOfLife } from './certificate-life.ts';

/** How it stands with a certificate that its holder keeps. */
export type CertificateState =
  | 'valid'
  /** Valid, and to be followed by another one. */
  | 'renewing'
  | 'expired'
  | 'not-yet-valid'
  /** The root behind it counts no more; its holder may still follow it by its key. */
  | 'root-retired'
  /** To be followed by another one, which the site will not give: somebody must do something. */
  | 'refused';

/** Whether peers take it. */
export function certificateCounts(state: CertificateState): boolean {
  return state !== 'expired' && state !== 'not-yet-valid' && state !== 'root-retired';
}

/** A certificate, as far as keeping it goes by it. */
export interface KeptCertificate extends CertificateLife {
  /** A number from 0 up to 1, the same for each look at the same certificate. */
  readonly jitter: number;
  /** It stands on a root that another one follows. */
  readonly isOnOldRoot: boolean;
  /** No root that is trusted here stands behind it. @default false */
  readonly isOfRetiredRoot?: boolean;
}

/** What is remembered of the tries to renew a certificate. */
export interface RenewalTries {
  /** Failed in a row. */
  readonly failedCount: number;
  /** No try before this moment, monotonic: whatever the clock says, and whatever fails. */
  readonly notBeforeMs: number;
  /** Why the last one failed; empty: it did not. */
  readonly failure: string;
  /** It was the site that said no. */
  readonly isRefused: boolean;
}

export const noTries: RenewalTries = {
  ...{ failedCount: 0, notBeforeMs: Number.NEGATIVE_INFINITY, failure: '', isRefused: false },
};

/** By which rules a certificate is kept. */
export interface KeepingRules {
  /** Whether there is a way to renew it: certificates that somebody has put there are only watched. */
  readonly canRenew: boolean;
  /** Whether its holder issues it itself, without a network: then also one that has not begun. */
  readonly isOwnIssuer: boolean;
  /** How long after its end the old key still speaks for its holder. */
  readonly graceMs: number;
}

/** What time it is. */
export interface KeepingTime {
  /** By this machine's clock, which may be wrong. */
  readonly nowMs: number;
  readonly monotonicMs: number;
}

/** How it stands, and what is to be done. */
export interface CertificateStanding {
  readonly state: CertificateState;
  /** Why, with both times, and what to do; empty when all is well. */
  readonly reason: string;
  /** Whether to try to renew now. */
  readonly isDue: boolean;
}

/** Decides what a look at a certificate finds. */
export function standingOf(
  certificate: KeptCertificate,
  tries: RenewalTries,
  { nowMs, monotonicMs }: KeepingTime,
  rules: KeepingRules,
): CertificateStanding {
  const age = ageOf(certificate, nowMs);
  const isWanted = isRenewalWanted(certificate, nowMs, rules);
  const isDue = isWanted && monotonicMs >= tries.notBeforeMs;
  const renewing = tries.isRefused ? 'refused' : 'renewing';
  const whileValid = certificate.isOfRetiredRoot ? 'root-retired' : isWanted ? renewing : 'valid';
  const state = age === 'valid' ? whileValid : age;
  return { state, reason: reasonOf(certificate, tries, { nowMs, rules, isWanted }), isDue };
}

/** Whether another certificate should follow this one now. */
export function isRenewalWanted(
  certificate: KeptCertificate,
  nowMs: number,
  { canRenew, isOwnIssuer, graceMs }: KeepingRules,
): boolean {
  if (!canRenew) return false;
  switch (ageOf(certificate, nowMs)) {
    case 'not-yet-valid':
      return isOwnIssuer;
    case 'expired':
      return isOwnIssuer || nowMs <= certificate.notAfterMs + graceMs;
    case 'valid':
      return (
        isForItsRoot(certificate, { isOwnIssuer }) ||
        nowMs >= renewalAtMs(certificate, certificate.jitter)
      );
  }
}

/**
 * Whether another one is to follow for the root that stands behind it. Who issues it himself changes the root
 * with the certificate of his authority; another leaf by the same authority would stand on the same root.
 */
function isForItsRoot(
  { isOnOldRoot, isOfRetiredRoot = false }: KeptCertificate,
  { isOwnIssuer }: Pick<KeepingRules, 'isOwnIssuer'>,
): boolean {
  return !isOwnIssuer && (isOnOldRoot || isOfRetiredRoot);
}

/**
 * Whether another one is wanted for the newest root alone: then only one that stands on it is worth asking for.
 */
export function isRootAllThatIsWanted(certificate: KeptCertificate, nowMs: number): boolean {
  const { isOnOldRoot, isOfRetiredRoot = false, jitter } = certificate;
  const isYoung = nowMs < renewalAtMs(certificate, jitter);
  return isOnOldRoot && !isOfRetiredRoot && isYoung && ageOf(certificate, nowMs) === 'valid';
}

function reasonOf(
  certificate: KeptCertificate,
  { failure }: RenewalTries,
  found: { readonly nowMs: number; readonly rules: KeepingRules; readonly isWanted: boolean },
): string {
  const { nowMs, rules, isWanted } = found;
  const parts = [refusalOfLife(certificate, nowMs) ?? ''];
  const age = ageOf(certificate, nowMs);
  if (certificate.isOfRetiredRoot) parts.push(rootRetired);
  if (age === 'not-yet-valid') parts.push('set the clock, if that is wrong');
  if (age === 'expired' && !isWanted) parts.push(rules.canRenew ? tooLate : notRenewed);
  if (isWanted && failure !== '') parts.push(`it could not be renewed: ${failure}`);
  return parts.filter((part) => part !== '').join('; ');
}

const rootRetired = 'the root behind it counts no more';
const tooLate =
  'its key is not taken any more: if the clock is right, enroll this machine again with a new token';
const notRenewed = 'put a new one in its place, or set the clock, if that is wrong';

/** How often is tried. */
export interface RenewalPace {
  /** Shortest time between two tries, whatever comes of them. @default 60_000 */
  readonly tryMsMin: number;
  /** Longest time between tries that fail. @default 3_600_000 */
  readonly tryMsMax: number;
}

export const defaultRenewalPace: RenewalPace = { tryMsMin: 60_000, tryMsMax: 3_600_000 };

/** After a try that brought no certificate, or one that is to be followed at once. */
export function afterFailure(
  tries: RenewalTries,
  failed: Pick<RenewalTries, 'failure' | 'isRefused'> & {
    /** It will last: the next try is not to be soon. @default it was refused */
    readonly isLasting?: boolean;
  },
  time: { readonly monotonicMs: number; readonly random: () => number },
  { tryMsMin, tryMsMax }: RenewalPace,
): RenewalTries {
  const failedCount = tries.failedCount + 1;
  const { failure, isRefused, isLasting = isRefused } = failed;
  // One that was refused is refused again, until somebody does something.
  const doubled = isLasting ? tryMsMax : tryMsMin * 2 ** Math.min(failedCount, 30);
  const mostMs = Math.min(tryMsMax, doubled);
  const pauseMs = Math.max(tryMsMin, mostMs * (0.5 + 0.5 * time.random()));
  return { failure, isRefused, failedCount, notBeforeMs: time.monotonicMs + pauseMs };
}

/** After a try that brought one. */
export function afterSuccess(monotonicMs: number, { tryMsMin }: RenewalPace): RenewalTries {
  return { ...noTries, notBeforeMs: monotonicMs + tryMsMin };
}

/** How far clocks of this hierarchy may be apart before a certificate from the future is not taken. */
export const clockSkewMsMax = 24 * 3_600_000;

/**
 * Why a certificate that was given is not taken, as the end of a sentence: one that does not count for
 * longer than the clocks of two machines are apart would lock its holder out, and was made by a site whose
 * clock is wrong.
 *
 * @param aheadMsMax by how much it may begin later than now; less where the one before counts still
 */
export function refusalOfRenewed(
  next: CertificateLife,
  nowMs: number,
  aheadMsMax = clockSkewMsMax,
): string | undefined {
  const refusal = refusalOfLife(next, nowMs);
  if (refusal === undefined) return undefined;
  const isSoon = nowMs < next.notBeforeMs && next.notBeforeMs <= nowMs + aheadMsMax;
  return isSoon ? undefined : refusal;
}
