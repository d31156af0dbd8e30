import type { CertificateRecord__Output } from '../../shared/rpc/generated/waybill/v1/CertificateRecord.ts';
import { toCount, toHex, toWord } from './wire-values.ts';

/** A certificate that a site knows of, as `--json` shows it. */
export type CertificateRecord = ReturnType<typeof toCertificateRecord>;

/** A certificate as it came from the site server. */
export function toCertificateRecord(wire: CertificateRecord__Output) {
  return {
    kind: toWord('CERTIFICATE_KIND_', wire.kind),
    holder: wire.holder,
    identityUri: wire.identityUri,
    issuerSiteCode: wire.issuerSiteCode,
    notBeforeMs: toCount(wire.notBeforeMs, 'not_before_ms'),
    notAfterMs: toCount(wire.notAfterMs, 'not_after_ms'),
    rootKeyId: toHex(wire.rootKeyId),
    isOnNewestRoot: wire.isOnNewestRoot,
    state: toWord('CERTIFICATE_STATE_', wire.state),
    reason: wire.reason,
    toldAtMs: toCount(wire.toldAtMs, 'told_at_ms'),
    due: toWord('CERTIFICATE_DUE_', wire.due),
    revoked: toRevoked(wire),
  };
}

/** Null: it counts. */
function toRevoked({ revokedAtMs, revokedAtSiteCode, revokedHolder }: CertificateRecord__Output) {
  const atMs = toCount(revokedAtMs, 'revoked_at_ms');
  return atMs === 0 ? null : { atMs, siteCode: revokedAtSiteCode, holder: revokedHolder };
}
