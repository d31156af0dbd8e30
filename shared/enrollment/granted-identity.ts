import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { toVoucherText, type Voucher } from '../domain/certificate-authority.ts';
import { parseAddress } from '../domain/distribution-point.ts';
import { WaybillError } from '../domain/errors.ts';
import { holderOf, type PeerIdentity } from '../domain/peer-identity.ts';
import { parseSiteCode, type SiteKind } from '../domain/site.ts';
import { certifiedPeerOf } from '../rpc/certificate-identity.ts';
import {
  authoritySiteOf,
  type CertificateChain,
  voucherOfChain,
} from '../rpc/certificate-trust.ts';
import type { IssuedIdentity__Output } from '../rpc/generated/waybill/v1/IssuedIdentity.ts';

/** What a site has given, checked: nothing of it is believed beyond what a trusted root vouches for. */
export interface GrantedIdentity {
  /** Whose it is; of an administrator with the role and scope that the site gave. */
  readonly identity: PeerIdentity;
  /** PEM: its own, or of a site its authority's; then the issuer's, unless that is the root. */
  readonly certificates: readonly string[];
  readonly notAfterMs: number;
  /** Where it belongs, and where it asks for its next certificate. Addresses may be empty. */
  readonly place: {
    readonly siteCode: string;
    readonly siteAddress: string;
    readonly enrollmentAddress: string;
    /** By which the site reaches it. */
    readonly address: string;
    /** Of a site that is not the top. */
    readonly parent?: { readonly siteCode: string; readonly address: string };
    readonly siteKind?: SiteKind;
  };
}

const siteKinds: Readonly<Record<string, SiteKind>> = {
  SITE_KIND_CENTRAL_ADMINISTRATION: 'central-administration',
  SITE_KIND_PRIMARY: 'primary',
  SITE_KIND_SECONDARY: 'secondary',
};

/**
 * Checks what a site has given: a certificate of a root that is trusted, for the key that was sent and for the name
 * that was asked for.
 *
 * @throws PEER_FAILED for anything else
 */
export function checkedGrant(
  answer: IssuedIdentity__Output,
  expected: {
    readonly identity: PeerIdentity;
    readonly keyPem: string;
    /** Of which one must stand behind it. */
    readonly roots: readonly X509Certificate[];
  },
): GrantedIdentity {
  const chain = toChain(answer);
  const [own, issuer] = chain;
  const voucher = voucherOfChain(chain, expected.roots);
  if (!voucher) throw unusable('it is not from a root that is trusted here');
  if (!keyOf(own)?.equals(createPublicKey(createPrivateKey(expected.keyPem)))) {
    throw unusable('it is not for the key of this machine');
  }
  const identity = identityOf(own, voucher, expected.identity);
  const place = placeOf(answer, identity);
  if (voucher !== 'root' && voucher.siteCode !== place.siteCode) {
    throw unusable(`it is by ${toVoucherText(voucher)}, and said to be of ${place.siteCode}`);
  }
  const pems = issuer ? [own, issuer] : [own];
  return {
    identity,
    certificates: pems.map((one) => one.toString()),
    notAfterMs: Date.parse(own.validTo),
    place,
  };
}

function toChain({ certificate, issuerCertificate }: IssuedIdentity__Output): CertificateChain {
  try {
    const own = new X509Certificate(certificate);
    return issuerCertificate.length === 0 ? [own] : [own, new X509Certificate(issuerCertificate)];
  } catch (cause) {
    throw unusable('it is none', cause);
  }
}

/** Undefined when it is for none that can be: whoever signs it writes what he likes. */
function keyOf(certificate: X509Certificate): KeyObject | undefined {
  try {
    return certificate.publicKey;
  } catch {
    return undefined;
  }
}

function identityOf(own: X509Certificate, voucher: Voucher, asked: PeerIdentity): PeerIdentity {
  const holder = holderOf(asked);
  if (asked.kind === 'site') {
    // The root alone says who is the authority of a site: an authority makes CAs of any name.
    if (voucher === 'root' && authoritySiteOf(own) === asked.siteCode) return asked;
    throw unusable(`it is not that of the authority of ${holder}`);
  }
  const given = own.ca ? undefined : certifiedPeerOf(own.toLegacyObject(), voucher)?.identity;
  if (given && holderOf(given) === holder) return given;
  throw unusable(`it is not that of ${holder}`);
}

function placeOf(answer: IssuedIdentity__Output, identity: PeerIdentity): GrantedIdentity['place'] {
  const { siteAddress, enrollmentAddress, address, parentSiteCode, parentAddress } = answer;
  const siteCode = parseSiteCode(answer.siteCode);
  if (siteCode === undefined) throw unusable('it does not say which site it is of');
  for (const one of [siteAddress, enrollmentAddress, address, parentAddress]) {
    if (one !== '' && !parseAddress(one)) throw unusable('an address with it is none');
  }
  const place = { siteCode, siteAddress, enrollmentAddress, address };
  if (identity.kind !== 'site') return place;
  const siteKind = siteKinds[answer.siteKind];
  const hasParent = parentSiteCode !== '';
  if (!siteKind || (hasParent && !parseSiteCode(parentSiteCode))) {
    throw unusable('it does not say where the site stands');
  }
  const parent = { siteCode: parentSiteCode, address: parentAddress };
  return { ...place, siteKind, ...(hasParent && { parent }) };
}

function unusable(reason: string, cause?: unknown): WaybillError {
  const text = `the certificate that it gave cannot be used: ${reason}`;
  return new WaybillError({ code: 'PEER_FAILED', peer: 'the site', reason: text }, { cause });
}
