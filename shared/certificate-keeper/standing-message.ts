import type { CertificateState } from '../domain/certificate-keeping.ts';
import type { ToldCertificate } from '../domain/known-certificate.ts';
import { parseSiteCode } from '../domain/site.ts';
import type {
  CertificateStanding,
  CertificateStanding__Output,
} from '../rpc/generated/waybill/v1/CertificateStanding.ts';

const states = {
  valid: 'CERTIFICATE_STATE_VALID',
  renewing: 'CERTIFICATE_STATE_RENEWING',
  expired: 'CERTIFICATE_STATE_EXPIRED',
  'not-yet-valid': 'CERTIFICATE_STATE_NOT_YET_VALID',
  refused: 'CERTIFICATE_STATE_REFUSED',
  'root-retired': 'CERTIFICATE_STATE_ROOT_RETIRED',
} as const satisfies Record<CertificateState, string>;

/** A reason from the wire is kept no longer than this. */
const reasonCharsMax = 600;
const rootKeyIdBytes = 32;

/** The state as it travels. */
export function certificateStateName(state: CertificateState) {
  return states[state];
}

/** How an agent says how it stands with its certificate. */
export function toStandingMessage(told: ToldCertificate): CertificateStanding {
  const { notBeforeMs, notAfterMs, state, reason, issuerSiteCode, rootKeyId } = told;
  return {
    ...{ notBeforeMs, notAfterMs, reason, issuerSiteCode },
    state: states[state],
    rootKeyId: Buffer.from(rootKeyId, 'hex'),
  };
}

/**
 * What another agent says of its certificate, bounded; undefined when it says nothing, or nothing that makes
 * sense. It is that agent's word alone.
 */
export function fromStandingMessage(
  wire: CertificateStanding__Output | null | undefined,
): ToldCertificate | undefined {
  const known = Object.entries(states).find(([, name]) => name === wire?.state);
  const [notBeforeMs, notAfterMs] = [Number(wire?.notBeforeMs), Number(wire?.notAfterMs)];
  if (!wire || !known || !isMoment(notBeforeMs) || !isMoment(notAfterMs)) return undefined;
  const isKeyId = wire.rootKeyId.length === rootKeyIdBytes;
  return {
    ...{ notBeforeMs, notAfterMs, state: known[0] as CertificateState },
    reason: wire.reason.slice(0, reasonCharsMax),
    issuerSiteCode: parseSiteCode(wire.issuerSiteCode) ?? '',
    rootKeyId: isKeyId ? wire.rootKeyId.toString('hex') : '',
  };
}

/** Latest moment that a date can say. */
const latestMs = 8.64e15;

function isMoment(ms: number): boolean {
  return Number.isSafeInteger(ms) && ms >= 0 && ms <= latestMs;
}
