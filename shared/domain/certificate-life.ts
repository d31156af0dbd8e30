import { toMomentText } from './moment-text.ts';

/** From when to when a certificate is valid, both included. */
export interface CertificateLife {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What the clock says of a certificate. */
export type CertificateAge = 'valid' | 'not-yet-valid' | 'expired';

export function ageOf({ notBeforeMs, notAfterMs }: CertificateLife, nowMs: number): CertificateAge {
  if (nowMs < notBeforeMs) return 'not-yet-valid';
  return nowMs > notAfterMs ? 'expired' : 'valid';
}

/**
 * Why a certificate does not count now, as the end of a sentence, or undefined. Both times are told: which
 * of them is wrong, only a person can say.
 */
export function refusalOfLife(life: CertificateLife, nowMs: number): string | undefined {
  const here = `it is ${toMomentText(nowMs)} by this machine's clock`;
  switch (ageOf(life, nowMs)) {
    case 'valid':
      return undefined;
    case 'not-yet-valid':
      return `it is not valid before ${toMomentText(life.notBeforeMs)}, and ${here}`;
    case 'expired':
      return `it expired at ${toMomentText(life.notAfterMs)}, and ${here}`;
  }
}
