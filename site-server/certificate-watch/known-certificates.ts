import type { X509Certificate } from 'node:crypto';
import { vouchersOf } from '../../shared/certificate-keeper/kept-certificate.ts';
import { rootKeyIdOf } from '../../shared/certificates/trust-bundle.ts';
import type { KnownCertificate, ToldCertificate } from '../../shared/domain/known-certificate.ts';
import { holderOf, type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { holderKindOf, isRevoked, type Revocation } from '../../shared/domain/revocation.ts';
import { type CertificateChain, lifeOf } from '../../shared/rpc/certificate-trust.ts';
import type { Revocations } from '../revocations/revocations.ts';

/** A certificate that the authority of this site has issued. */
export interface IssuedFacts {
  /** Of an agent or a person, or the authority of a site. */
  readonly kind: 'leaf' | 'authority';
  /** See `holderOf`. */
  readonly holder: string;
  readonly identityUri: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Hex. */
  readonly rootKeyId: string;
}

/** The roots that are trusted here. */
export function knownRoots(roots: readonly X509Certificate[]): KnownCertificate[] {
  return roots.map((root, index) => {
    const rootKeyId = rootKeyIdOf(root);
    return {
      ...{ kind: 'root', holder: rootKeyId.slice(0, 16), identityUri: '', issuerSiteCode: '' },
      ...{ ...lifeOf(root), rootKeyId, isOnNewestRoot: index === 0, reason: '', toldAtMs: 0 },
    };
  });
}

/** A site's certificate and that of its authority, as it shows them. */
export function knownOfSite(
  siteCode: string,
  chain: CertificateChain,
  told: { readonly roots: readonly X509Certificate[]; readonly atMs: number },
): KnownCertificate[] {
  const [own, issuer] = chain;
  const identity: PeerIdentity = { kind: 'site', siteCode };
  const { issuerSiteCode, rootKeyId } = vouchersOf(chain, told.roots);
  const names = { holder: holderOf(identity), identityUri: toIdentityUri(identity) };
  const standing = {
    ...{ rootKeyId, isOnNewestRoot: isNewest(rootKeyId, told.roots) },
    ...{ reason: '', toldAtMs: told.atMs },
  };
  const leaf = { kind: 'identity', ...names, issuerSiteCode, ...lifeOf(own), ...standing } as const;
  if (!issuer) return [leaf];
  const authority = { kind: 'site-authority', ...names, issuerSiteCode: '' } as const;
  return [{ ...authority, ...lifeOf(issuer), ...standing }, leaf];
}

/** What a DP says of its certificate. */
export function knownOfPoint(
  dpId: string,
  told: ToldCertificate,
  facts: { readonly roots: readonly X509Certificate[]; readonly atMs: number },
): KnownCertificate {
  const identity: PeerIdentity = { kind: 'dp', dpId };
  return {
    ...{ kind: 'identity', holder: holderOf(identity), identityUri: toIdentityUri(identity) },
    ...told,
    isOnNewestRoot: isNewest(told.rootKeyId, facts.roots),
    toldAtMs: facts.atMs,
  };
}

/** What was issued, as long as its holder has not said what he has. */
export function knownOfIssued(
  siteCode: string,
  issued: IssuedFacts,
  roots: readonly X509Certificate[],
): KnownCertificate {
  const { kind, holder, identityUri, notBeforeMs, notAfterMs, rootKeyId } = issued;
  return {
    kind: kind === 'leaf' ? 'identity' : 'site-authority',
    ...{ holder, identityUri, notBeforeMs, notAfterMs, rootKeyId },
    issuerSiteCode: kind === 'leaf' ? siteCode : '',
    ...{ isOnNewestRoot: isNewest(rootKeyId, roots), reason: '', toldAtMs: 0 },
  };
}

/**
 * The same, with what was revoked said: by a revocation of the holder, or of the site that vouches for him, with
 * which all goes whose authority begins before that.
 */
export function withRevocations(
  known: readonly KnownCertificate[],
  heard: Pick<Revocations, 'heardOf' | 'heardByIssuer'>,
): KnownCertificate[] {
  const goneSites = new Map<string, Revocation>();
  for (const { kind, holder, notBeforeMs } of known) {
    const said = kind === 'site-authority' ? heard.heardByIssuer(holder) : undefined;
    if (said && isRevoked(notBeforeMs, said)) goneSites.set(holder, said);
  }
  return known.map((one) => {
    const { holder, issuerSiteCode, notBeforeMs } = one;
    const isOfSite = holderKindOf(holder) === 'site';
    const voucher = issuerSiteCode === '' ? 'root' : { siteCode: issuerSiteCode };
    const own = isOfSite ? heard.heardByIssuer(holder) : heard.heardOf(holder, voucher);
    const said = isRevoked(notBeforeMs, own) ? own : goneSites.get(`site/${issuerSiteCode}`);
    if (!said) return one;
    const { revokedAtMs, siteCode } = said;
    return { ...one, revoked: { revokedAtMs, siteCode, holder: said.holder } };
  });
}

function isNewest(rootKeyId: string, roots: readonly X509Certificate[]): boolean {
  const [newest] = roots;
  return newest !== undefined && rootKeyIdOf(newest) === rootKeyId;
}
