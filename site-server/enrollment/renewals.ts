import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import type { Voucher } from '../../shared/domain/certificate-authority.ts';
import {
  type EnrollmentAnswer,
  type RenewalRefusal,
  renewalRefusalOf,
} from '../../shared/domain/enrollment.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { holderOf, type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { certifiedPeerOf } from '../../shared/rpc/certificate-identity.ts';
import {
  authoritySiteOf,
  type CertificateChain,
  lifeOf,
  voucherOfChain,
} from '../../shared/rpc/certificate-trust.ts';
import type { RenewRequest__Output } from '../../shared/rpc/generated/waybill/v1/RenewRequest.ts';
import { renewalProofOf } from '../../shared/rpc/renewal-proof.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { EnrolledHolders } from './enrolled-holders.ts';
import {
  type EnrollmentAuthority,
  type EnrollmentRevocations,
  hashOfKey,
  keyHashOf,
  toDer,
} from './enrollment-authority.ts';
import { checkRenew } from './enrollment-requests.ts';
import { type AskedRenewal, RenewalPace } from './renewal-pace.ts';

/** What renewing needs. */
export interface RenewalsComponents {
  readonly authority: EnrollmentAuthority;
  readonly holders: Pick<EnrolledHolders, 'hasStill'>;
  readonly revocations: Pick<EnrollmentRevocations, 'isRevoked'>;
  /** The authority a site has, as far as that is known here. */
  readonly authorityOf: (siteCode: string) => X509Certificate | undefined;
  /** The key a certificate is asked for (SPKI, DER). @throws CERTIFICATE_REQUEST_INVALID */
  readonly readKey: (request: Uint8Array) => Promise<Uint8Array>;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  /** The authority of a site that the top has signed by itself; a root that is trusted stands behind it. @default of none */
  readonly signedAuthorityOf?: (siteCode: string) => X509Certificate | undefined;
}

/** How renewing is tuned. */
export interface RenewalsConfig {
  /** How long after it expired a certificate may be followed. */
  readonly renewalGraceMs: number;
  /** How far clocks may be off. */
  readonly skewMs: number;
  /** From one renewal of a holder to the next. @default 60_000 */
  readonly pauseMs?: number;
}

/** No longer than a keeper waits after a certificate that it was given (`defaultRenewalPace`). */
const pauseMsDefault = 60_000;

/** A new certificate, or the one that the same request was given just now. */
export interface GivenRenewal {
  readonly answer: EnrollmentAnswer;
  readonly isRepeated: boolean;
}

/** A certificate that is to be followed, and whose it is; nothing else is said of it yet. */
export interface RenewalClaim {
  readonly identity: PeerIdentity;
  readonly own: X509Certificate;
  /** The site whose authority issued it; undefined: the root itself. */
  readonly issuedBy: string | undefined;
  /** When the certificate of that authority begins; of an authority, when it begins itself. */
  readonly vouchedFromMs: number;
  readonly request: RenewRequest__Output;
}

type Believed = Pick<RenewalClaim, 'identity' | 'issuedBy' | 'vouchedFromMs'>;

/**
 * Gives a new certificate for an older one (SEC-3): it must be of this hierarchy and of this site, its key
 * must sign the request, it may have expired a while ago, and neither be revoked nor its holder gone; once in
 * a while for each holder. The same request again gets the same answer, later on another certificate of the
 * same key, which does as well. Stores nothing, but an administrator whom a lost state store knew.
 */
export class Renewals {
  readonly #components: RenewalsComponents;
  readonly #config: RenewalsConfig;
  readonly #pace: RenewalPace;

  constructor(components: RenewalsComponents, config: RenewalsConfig) {
    this.#components = components;
    this.#config = config;
    this.#pace = new RenewalPace(components.clock, config.pauseMs ?? pauseMsDefault);
  }

  /**
   * Whose certificate it is, once its chain and the proof of its key are verified.
   *
   * @throws MESSAGE_INVALID, RENEWAL_REFUSED
   */
  claimOf(request: RenewRequest__Output): RenewalClaim {
    checkRenew(request);
    const own = certificateOf('certificate', request.certificate);
    const { authorityCertificate: above } = request;
    const issuer = above.length > 0 ? certificateOf('authority_certificate', above) : undefined;
    const believed = this.#believed(own, issuer);
    if (!believed) throw refused('somebody', 'foreign');
    const { certificateRequest, signature } = request;
    if (!isProof(own, certificateRequest, signature))
      throw refused(holderOf(believed.identity), 'wrong-key');
    return { ...believed, own, request };
  }

  /**
   * Whose it is by a root that is trusted; or, when that behind it was retired meanwhile, by the key of the very
   * authority that issued it: that is the same under the new root, and no retired root is asked for its word.
   */
  #believed(own: X509Certificate, issuer: X509Certificate | undefined): Believed | undefined {
    const { authority } = this.#components;
    const roots = authority.roots().map((pem) => new X509Certificate(pem));
    const ours = new X509Certificate(authority.authorityCertificate());
    return (
      believedOf([own, issuer], roots) ?? believedOf([own, ours], roots) ?? this.#believedByKey(own)
    );
  }

  /**
   * The authority of a site by the key that the top has signed since. Of the certificate itself nothing is believed, for
   * nobody knows who has signed it: whether the site is revoked is judged by what the top has signed.
   */
  #believedByKey(own: X509Certificate): Believed | undefined {
    const siteCode = authoritySiteOf(own);
    const signed = siteCode && this.#components.signedAuthorityOf?.(siteCode);
    if (!siteCode || !signed || !isOfOurKind(own)) return undefined;
    if (!keyHashOf(signed).equals(keyHashOf(own))) return undefined;
    const vouchedFromMs = Date.parse(signed.validFrom);
    return { identity: { kind: 'site', siteCode }, issuedBy: undefined, vouchedFromMs };
  }

  /** @throws RENEWAL_REFUSED, RENEWAL_TOO_SOON, CERTIFICATE_REQUEST_INVALID */
  async renew(claim: RenewalClaim): Promise<GivenRenewal> {
    const { authority, readKey } = this.#components;
    const { identity, request } = claim;
    await this.#requireAllowed(claim);
    const { certificateRequest } = request;
    const keyHash = hashOfKey(await readKey(certificateRequest));
    if (identity.kind === 'site') this.#requireItsKey(identity.siteCode, claim, keyHash);
    const asked = this.#asked(identity, keyHash);
    return this.#pace.given(asked, async () => {
      const answer = await issuedAnswer(authority, identity, certificateRequest);
      // Who was put out meanwhile was perhaps given one that begins after that.
      await this.#requireAllowed(claim);
      return answer;
    });
  }

  /** @throws RENEWAL_REFUSED */
  async #requireAllowed({ identity, own, issuedBy, vouchedFromMs }: RenewalClaim): Promise<void> {
    const { authority, clock, revocations } = this.#components;
    const holder = holderOf(identity);
    if (identity.kind !== 'site' && issuedBy !== authority.siteCode) {
      throw refused(holder, 'other-site');
    }
    const life = lifeOf(own);
    // The root signs the authority of a site at the word of the site itself.
    const voucher = { siteCode: identity.kind === 'site' ? identity.siteCode : authority.siteCode };
    const refusal =
      renewalRefusalOf(life, {
        ...{ nowMs: clock.nowMs(), skewMs: this.#config.skewMs },
        graceMs: this.#config.renewalGraceMs,
        isRevoked: revocations.isRevoked({ identity, voucher, ...life, vouchedFromMs }),
      }) ?? (await this.#refusalOfHolder(identity, life.notBeforeMs));
    if (refusal) throw refused(holder, refusal);
  }

  /**
   * The authority of a site is renewed for the key it has, which the top knows from what the site says of itself: a key
   * that the site gave up, and one that it never had, is signed for nobody.
   *
   * @throws RENEWAL_REFUSED
   */
  #requireItsKey(siteCode: string, { identity, own }: RenewalClaim, keyHash: Buffer): void {
    const known = this.#components.authorityOf(siteCode);
    const counting = known && !this.#isRevokedAuthority(siteCode, known) ? [own, known] : [own];
    if (counting.every((one) => keyHashOf(one).equals(keyHash))) return;
    throw refused(holderOf(identity), 'other-authority');
  }

  /** What a site showed before it was revoked says nothing of the authority it was given since. */
  #isRevokedAuthority(siteCode: string, known: X509Certificate): boolean {
    const life = lifeOf(known);
    const identity = { kind: 'site', siteCode } as const;
    const vouchedFromMs = life.notBeforeMs;
    const peer = { identity, voucher: { siteCode }, ...life, vouchedFromMs };
    return this.#components.revocations.isRevoked(peer);
  }

  #asked(identity: PeerIdentity, keyHash: Buffer): AskedRenewal {
    const { authority } = this.#components;
    return {
      holder: holderOf(identity),
      subject: `${toIdentityUri(identity)} ${keyHash.toString('hex')}`,
      issuer: `${authority.rootsGeneration} ${authority.authorityCertificate()}`,
    };
  }

  async #refusalOfHolder(
    identity: PeerIdentity,
    issuedAtMs: number,
  ): Promise<RenewalRefusal | undefined> {
    const isHere = await this.#components.holders.hasStill(identity, issuedAtMs);
    return isHere ? undefined : 'holder-gone';
  }
}

/** A certificate for whoever may have one: of a site its authority, of others one by this site's. */
export async function issuedAnswer(
  authority: EnrollmentAuthority,
  identity: PeerIdentity,
  certificateRequest: Uint8Array,
): Promise<EnrollmentAnswer> {
  if (identity.kind === 'site') {
    const pem = await authority.issueSiteAuthority(identity.siteCode, certificateRequest);
    return { certificate: toDer(pem).toString('base64'), issuerCertificate: '' };
  }
  const pem = await authority.issueLeaf(identity, certificateRequest);
  return {
    certificate: toDer(pem).toString('base64'),
    issuerCertificate: toDer(authority.authorityCertificate()).toString('base64'),
  };
}

/** Whether a key is of the one kind that certificates are given for; to verify with others may cost a hundred times as much. */
function isP256({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  return asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

/** Whether a stranger's certificate is for such a key; not when OpenSSL cannot make sense of what it is for. */
function isOfOurKind(certificate: X509Certificate): boolean {
  try {
    return isP256(certificate.publicKey);
  } catch {
    return false;
  }
}

/** Whose it is; undefined for nobody's. */
function believedOf(
  chain: CertificateChain,
  roots: readonly X509Certificate[],
): Believed | undefined {
  const [own, issuer = own] = chain;
  const voucher = believedVoucher(chain, roots);
  const identity = voucher && identityOf(own, voucher);
  if (!identity) return undefined;
  if (voucher === 'root') {
    return { identity, issuedBy: undefined, vouchedFromMs: Date.parse(own.validFrom) };
  }
  const vouchedFromMs = Date.parse(issuer.validFrom);
  return { identity, issuedBy: voucher.siteCode, vouchedFromMs };
}

/** Undefined when no root stands behind it, or when OpenSSL cannot make sense of a stranger's certificates. */
function believedVoucher(
  chain: CertificateChain,
  roots: readonly X509Certificate[],
): Voucher | undefined {
  try {
    const isOurs = chain.every((one) => one === undefined || isOfOurKind(one));
    return isOurs ? voucherOfChain(chain, roots) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Of a site the certificate of its authority is followed, of everybody else his own. Only the root says who is the
 * authority of a site: whoever has the key of one makes CAs of any name.
 */
function identityOf(own: X509Certificate, voucher: Voucher): PeerIdentity | undefined {
  if (!own.ca) {
    const identity = certifiedPeerOf(own.toLegacyObject(), voucher)?.identity;
    // A site makes its leaf by itself.
    return identity?.kind === 'site' ? undefined : identity;
  }
  const siteCode = voucher === 'root' ? authoritySiteOf(own) : undefined;
  return siteCode === undefined ? undefined : { kind: 'site', siteCode };
}

function isProof(own: X509Certificate, certificateRequest: Buffer, signature: Buffer): boolean {
  try {
    return verify('sha256', renewalProofOf(certificateRequest), own.publicKey, signature);
  } catch {
    return false;
  }
}

function certificateOf(field: string, der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    const facts = { field, expected: 'a certificate, DER', actual: `${der.length} other bytes` };
    throw new WaybillError({ code: 'MESSAGE_INVALID', ...facts }, { cause });
  }
}

function refused(holder: string, reason: RenewalRefusal): WaybillError {
  return new WaybillError({ code: 'RENEWAL_REFUSED', holder, reason });
}
