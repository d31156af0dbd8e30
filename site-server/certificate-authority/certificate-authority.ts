import { X509Certificate } from 'node:crypto';
import {
  type IssuedCertificate,
  issueLeaf,
  issueSiteAuthority,
  type Validity,
} from '../../shared/certificates/certificate-issuing.ts';
import {
  newPrivateKey,
  publicKeyInfoOf,
  readCertificateRequest,
} from '../../shared/certificates/certificate-requests.ts';
import { readPairFile, writePairFile } from '../../shared/certificates/pair-file.ts';
import type { FileOwner } from '../../shared/certificates/secret-files.ts';
import { rootKeyIdOf } from '../../shared/certificates/trust-bundle.ts';
import type { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import { mayVouch } from '../../shared/domain/certificate-authority.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { holderOf, type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { beginningOf, type Revocation } from '../../shared/domain/revocation.ts';
import { refusalOfTime } from '../../shared/rpc/certificate-trust.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { type AuthoritySettings, beginsEarlyMs, daysToMs } from './authority-config.ts';
import {
  type AuthorityContent,
  readAuthority,
  readBundle,
  requireSameKey,
  writeAuthority,
} from './authority-files.ts';
import type { IssuedCertificates } from './issued-certificates.ts';
import { readRootKey } from './root-keys.ts';

/** Whether and when certificates of a holder were revoked, as far as it is known here. */
type KnownRevocation = Pick<Revocation, 'revokedAtMs'> | undefined;

/** What the authority needs. */
export interface CertificateAuthorityComponents {
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Pick<Logger, 'warn'>;
  /** The roots that this site trusts. */
  readonly trustedRoots: TrustedRoots;
  readonly issued: Pick<IssuedCertificates, 'record'>;
  /** Whether and when certificates of a holder were revoked: a new one begins after that. @default never */
  readonly revocationOf?: (holder: string) => KnownRevocation;
  /** Whom files are given to. @default whoever runs this program */
  readonly owner?: FileOwner;
  /** The file of the site's own certificate was written anew: other credentials are to be used. @default nothing */
  readonly onOwnCertificate?: () => void;
}

/** Where its files are, and how long what it issues is valid. */
export interface CertificateAuthorityConfig extends AuthoritySettings {
  readonly siteCode: string;
  /** `<data>/authority`. */
  readonly directory: string;
  /** The site's own key and certificate: `<data>/identity/agent.pem`. */
  readonly agentFile: string;
}

/**
 * The authority of this site (docs/trust.md, 1): issues certificates for its DPs, administrators, clients and
 * itself; at the top, with the root's key, also the authorities of other sites. The root's key is read when it is
 * used, and not kept. Owns `<data>/authority`, and the file of the site's own certificate as far as it writes it.
 * Each file is written in one step; a crash between the authority and the site's own certificate is made good
 * at the next opening.
 */
export class CertificateAuthority {
  readonly siteCode: string;
  readonly #components: CertificateAuthorityComponents;
  readonly #config: CertificateAuthorityConfig;
  readonly #changes = new SerialQueue();
  #content: AuthorityContent;

  private constructor(
    components: CertificateAuthorityComponents,
    config: CertificateAuthorityConfig,
    content: AuthorityContent,
  ) {
    this.siteCode = config.siteCode;
    this.#components = components;
    this.#config = config;
    this.#content = content;
  }

  /**
   * Opens the authority; undefined when the site has none (development certificates).
   *
   * @throws CERTIFICATE_INVALID naming the file: others may read it, or it is not what it must be
   */
  static async open(
    components: CertificateAuthorityComponents,
    config: CertificateAuthorityConfig,
  ): Promise<CertificateAuthority | undefined> {
    const content = await readAuthority(config.directory);
    if (!content) return undefined;
    const authority = new CertificateAuthority(components, config, content);
    await authority.renewOwnAuthority();
    await authority.#alignOwnCertificate();
    return authority;
  }

  /** Whether this site has the root, and so issues the authorities of sites. */
  get isTop(): boolean {
    return this.#content.bundle !== undefined;
  }

  /** PEM, the newest first. */
  roots(): readonly string[] {
    return this.#components.trustedRoots.held.roots;
  }

  get rootsGeneration(): number {
    return this.#components.trustedRoots.held.generation;
  }

  /** PEM. */
  authorityCertificate(): string {
    return this.#content.authority.certificate;
  }

  /**
   * A certificate for a DP, an administrator, a client or this site itself, signed by this site's authority.
   *
   * @param request PKCS #10, DER, of whoever asks
   * @param options.notBeforeMs not before this moment, nor before a revocation of the holder
   * @returns PEM
   * @throws CERTIFICATE_REQUEST_INVALID; CERTIFICATE_INVALID when the authority itself is not valid now; DISK_FULL
   */
  async issueLeaf(
    identity: PeerIdentity,
    request: Uint8Array,
    options: { readonly notBeforeMs?: number } = {},
  ): Promise<string> {
    const { publicKey } = await readCertificateRequest(request);
    return this.#issueLeaf(identity, publicKey, options.notBeforeMs);
  }

  /**
   * The authority of another site, signed by the root behind this site's own: whoever asks knows that one, and perhaps
   * no other. The newest root signs it again later, as those of all sites (`SiteAuthorities`). At the top only.
   *
   * @returns PEM
   * @throws CERTIFICATE_REQUEST_INVALID; CERTIFICATE_INVALID when the root's key cannot be read, or the root
   *   is not valid now; DISK_FULL
   */
  async issueSiteAuthority(siteCode: string, request: Uint8Array): Promise<string> {
    const { publicKey } = await readCertificateRequest(request);
    // Retired before this site stood on another: then nobody is to believe in it any more.
    const root = this.#rootBehind(this.authorityCertificate()) ?? this.#newestRoot;
    return this.#certify(siteCode, publicKey, root);
  }

  /** The same by the newest root, for a key that is known to be the site's (SPKI, DER). */
  certifySiteAuthority(siteCode: string, publicKey: Uint8Array): Promise<string> {
    return this.#certify(siteCode, publicKey, this.#newestRoot);
  }

  async #certify(
    siteCode: string,
    publicKey: Uint8Array,
    rootPem: string | undefined,
  ): Promise<string> {
    const root = await this.#withKey(rootPem);
    const identity = { kind: 'site', siteCode } as const;
    const known = this.#knownRevocationOf(identity);
    const validity = this.#validityOf(root.certificate, known, {
      lifeMs: daysToMs(this.#config.siteAuthorityDays),
    });
    const certificate = await issueSiteAuthority(root, { siteCode, publicKey, ...validity });
    const signed = { certificate, issuer: root.certificate };
    await this.#record('authority', identity, signed, known);
    return certificate;
  }

  /** A new key and certificate for the site itself, in the file of its own certificate, in one step. */
  async renewOwnLeaf(): Promise<void> {
    await this.#changes.run(() => this.#makeOwn());
  }

  /**
   * The site's authority has another certificate from now on, for the same key: what it has issued counts as before.
   * The caller has made sure that peers know the root behind it.
   *
   * @throws DISK_FULL, or CERTIFICATE_INVALID when a file cannot be written: it has the one before, and is told again;
   *   CERTIFICATE_INVALID also when the site was enrolled anew since it started
   */
  async replaceCertificate(certificate: string): Promise<void> {
    await this.#changes.run(() => this.#stand(certificate));
  }

  /**
   * At the top, where its own authority counts no more, signs it again for the same key. It needs nobody to be itself
   * again: after it was off for long, was restored, its clock was wrong while it signed itself, or its root was
   * retired before it stood on another.
   *
   * @returns whether it was to be done
   * @throws CERTIFICATE_INVALID when the root's key cannot be read, or a file not written; DISK_FULL
   */
  async renewOwnAuthority(): Promise<boolean> {
    const { authority, bundle } = this.#content;
    const current = new X509Certificate(authority.certificate);
    const [root] = bundle?.roots ?? [];
    if (root === undefined) return false;
    const isSound = !this.#refusalOf(current) && this.#rootKeyIdOf(authority.certificate) !== '';
    if (isSound || this.#refusalOf(new X509Certificate(root))) return false;
    const publicKey = current.publicKey.export({ type: 'spki', format: 'der' });
    await this.replaceCertificate(await this.certifySiteAuthority(this.siteCode, publicKey));
    return true;
  }

  /** Reads again which roots there are: a command may have made a new one. @returns whether that is so */
  async readRootsAgain(): Promise<boolean> {
    const before = this.#content.bundle;
    const bundle = before && (await readBundle(this.#config.directory));
    if (!bundle || bundle.generation === before.generation) return false;
    this.#content = { ...this.#content, bundle };
    return true;
  }

  /** At the top, the roots as this directory has them, signed. */
  get bundle() {
    return this.#content.bundle;
  }

  /** PEM; undefined below the top. */
  get #newestRoot(): string | undefined {
    return this.#content.bundle?.roots[0];
  }

  async #withKey(certificate: string | undefined): Promise<IssuedCertificate> {
    if (certificate === undefined || !this.isTop) {
      throw new Error('Only the top site has the root');
    }
    const { directory, rootPassphraseFile } = this.#config;
    return readRootKey(directory, certificate, rootPassphraseFile);
  }

  async #issueLeaf(
    identity: PeerIdentity,
    publicKey: Uint8Array,
    notBeforeMs = 0,
  ): Promise<string> {
    if (!mayVouch({ siteCode: this.siteCode }, identity)) {
      throw new Error(`Site ${this.siteCode} does not vouch for ${toIdentityUri(identity)}`);
    }
    const { authority } = this.#content;
    const lifeMs = daysToMs(this.#config.leafDays);
    const known = this.#knownRevocationOf(identity);
    const wanted = { lifeMs, notBeforeMs };
    const validity = this.#validityOf(authority.certificate, known, wanted);
    const certificate = await issueLeaf(authority, {
      // Longer ones do not fit X.509; it is for people only.
      commonName: holderOf(identity).slice(0, 64),
      uris: [toIdentityUri(identity)],
      publicKey,
      ...validity,
    });
    const signed = { certificate, issuer: authority.certificate };
    await this.#record('leaf', identity, signed, known);
    return certificate;
  }

  #knownRevocationOf(identity: PeerIdentity): KnownRevocation {
    return this.#components.revocationOf?.(holderOf(identity));
  }

  /** Never longer than whoever signs it: nobody shall renew too late what has long ended by its issuer. */
  #validityOf(
    issuerPem: string,
    known: KnownRevocation,
    wanted: { lifeMs: number; notBeforeMs?: number },
  ): Validity {
    const nowMs = this.#components.clock.nowMs();
    const issuer = new X509Certificate(issuerPem);
    const refusal = refusalOfTime(issuer, nowMs);
    if (refusal !== undefined) {
      const path = this.#config.directory;
      const reason = `of ${issuer.subject}: ${refusal}`;
      throw new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason });
    }
    const beginMs = beginningOf(nowMs, beginsEarlyMs, known);
    const endMs = Math.min(nowMs + wanted.lifeMs, Date.parse(issuer.validTo));
    return {
      notBefore: new Date(Math.max(beginMs, wanted.notBeforeMs ?? 0)),
      notAfter: new Date(endMs),
    };
  }

  async #record(
    kind: 'leaf' | 'authority',
    identity: PeerIdentity,
    signed: { readonly certificate: string; readonly issuer: string },
    known: KnownRevocation,
  ): Promise<void> {
    const certificate = new X509Certificate(signed.certificate);
    await this.#components.issued.record({
      kind,
      serialNumber: certificate.serialNumber.toLowerCase(),
      holder: holderOf(identity),
      identityUri: toIdentityUri(identity),
      issuedAtMs: this.#components.clock.nowMs(),
      notBeforeMs: Date.parse(certificate.validFrom),
      notAfterMs: Date.parse(certificate.validTo),
      knownRevokedAtMs: known?.revokedAtMs ?? 0,
      rootKeyId: this.#rootKeyIdOf(signed.issuer),
    });
  }

  /** Empty when it is none that is known here. */
  #rootKeyIdOf(issuerPem: string): string {
    const root = this.#rootBehind(issuerPem);
    return root === undefined ? '' : rootKeyIdOf(root);
  }

  /** PEM; the root that signed this, or that it is; undefined when it is none that is known here. */
  #rootBehind(issuerPem: string): string | undefined {
    const issuer = new X509Certificate(issuerPem);
    const roots = this.#content.bundle?.roots ?? this.roots();
    return roots.find((pem) => {
      const root = new X509Certificate(pem);
      return issuer.checkIssued(root) && issuer.verify(root.publicKey);
    });
  }

  async #makeOwn(): Promise<void> {
    const key = await newPrivateKey();
    const identity = { kind: 'site', siteCode: this.siteCode } as const;
    await this.#writeOwn(key, await this.#issueLeaf(identity, publicKeyInfoOf(key)));
  }

  async #writeOwn(key: string, leaf: string): Promise<void> {
    const certificates = [leaf, this.#content.authority.certificate];
    const { owner, onOwnCertificate } = this.#components;
    await writePairFile(this.#config.agentFile, { key, certificates }, owner);
    onOwnCertificate?.();
  }

  /**
   * Both files, or, as far as this program goes by it, none: what a crash leaves in between is made good at the next
   * opening, and what a failure leaves when this is tried again.
   */
  async #stand(certificate: string): Promise<void> {
    const before = this.#content.authority;
    const authority = { ...before, certificate };
    await requireSameKey(this.#config.directory, before);
    await writeAuthority(this.#config.directory, authority, this.#components.owner);
    this.#content = { ...this.#content, authority };
    try {
      await this.#alignOwnCertificate();
    } catch (error) {
      this.#content = { ...this.#content, authority: before };
      throw error;
    }
  }

  #refusalOf(certificate: X509Certificate): string | undefined {
    return refusalOfTime(certificate, this.#components.clock.nowMs());
  }

  /**
   * The site's own certificate travels with that of its authority: makes it so. One that this authority
   * has not signed, that does not count now, or that is not there, is made anew: it takes nobody else for that.
   * While the authority itself does not count, as when the clock is wrong, everything stays.
   */
  async #alignOwnCertificate(): Promise<void> {
    const own = await readPairFile(this.#config.agentFile);
    const authority = new X509Certificate(this.#content.authority.certificate);
    const [leaf, travelling] = own?.certificates ?? [];
    if (!own || leaf === undefined || !this.#isSound(new X509Certificate(leaf), authority)) {
      const refusal = this.#refusalOf(authority);
      if (refusal === undefined) return this.#makeOwn();
      this.#components.logger.warn(
        { reason: refusal },
        'The authority of this site does not count',
      );
    } else if (travelling?.trim() !== this.#content.authority.certificate.trim()) {
      await this.#writeOwn(own.key, leaf);
    }
  }

  #isSound(leaf: X509Certificate, authority: X509Certificate): boolean {
    return leaf.verify(authority.publicKey) && this.#refusalOf(leaf) === undefined;
  }
}
