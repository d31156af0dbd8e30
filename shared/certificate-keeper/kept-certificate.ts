import { createHash, type X509Certificate } from 'node:crypto';
import { rootKeyIdOf } from '../certificates/trust-bundle.ts';
import type { KeptCertificate } from '../domain/certificate-keeping.ts';
import {
  authoritySiteOf,
  type CertificateChain,
  isIssuedBy,
  lifeOf,
} from '../rpc/certificate-trust.ts';

/** A kept certificate, with who stands behind it. */
export interface VouchedCertificate extends KeptCertificate {
  /** The site whose authority issued it, by what it shows; empty: a root. */
  readonly issuerSiteCode: string;
  /** SHA-256 of the public key info of the root it stands on, hex; empty: none of these. */
  readonly rootKeyId: string;
}

/**
 * A certificate as keeping it goes by it.
 *
 * @param roots newest first, as `roots.crt` has them
 */
export function toKeptCertificate(
  chain: CertificateChain,
  roots: readonly X509Certificate[],
): VouchedCertificate {
  const [own, issuer] = chain;
  const life = lifeOf(own);
  // What is issued by an authority ends with it, whatever it says of itself.
  const end = issuer ? lifeOf(issuer).notAfterMs : life.notAfterMs;
  return {
    notBeforeMs: life.notBeforeMs,
    notAfterMs: Math.min(life.notAfterMs, end),
    jitter: jitterOf(own),
    isOnOldRoot: !isIssuedBy(chain, roots.slice(0, 1)),
    isOfRetiredRoot: !isIssuedBy(chain, roots),
    ...vouchersOf(chain, roots),
  };
}

/** Who stands behind a chain. */
export function vouchersOf(
  chain: CertificateChain,
  roots: readonly X509Certificate[],
): { issuerSiteCode: string; rootKeyId: string } {
  const [, issuer] = chain;
  const root = roots.find((one) => isIssuedBy(chain, [one]));
  return {
    issuerSiteCode: (issuer && authoritySiteOf(issuer)) ?? '',
    rootKeyId: root ? rootKeyIdOf(root) : '',
  };
}

/** A number from 0 up to 1, as good as random among machines, and the same at each look. */
function jitterOf({ raw }: X509Certificate): number {
  return createHash('sha256').update(raw).digest().readUInt32BE() / 2 ** 32;
}
