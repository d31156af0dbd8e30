import { X509Certificate } from 'node:crypto';
import {
  type IssuedCertificate,
  issueLeaf,
  issueRoot,
  issueSiteAuthority,
} from '../../../shared/certificates/certificate-issuing.ts';
import {
  newPrivateKey,
  publicKeyInfoOf,
  readCertificateRequest,
} from '../../../shared/certificates/certificate-requests.ts';
import {
  holderOf,
  type PeerIdentity,
  toIdentityUri,
} from '../../../shared/domain/peer-identity.ts';
import type { FakeClock } from '../../../shared/testing/fake-clock.ts';
import type { EnrollmentAuthority } from '../enrollment-authority.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** A root of its own, and by it the authority of a site, with keys in memory; certificates are real. */
export class TestAuthority implements EnrollmentAuthority {
  readonly siteCode: string;
  readonly isTop: boolean;
  readonly rootsGeneration = 1;
  root: IssuedCertificate;
  #authority: IssuedCertificate;
  readonly #clock: FakeClock;
  /** What was issued, PEM. */
  readonly issued: string[] = [];
  /** Before the next certificate is made. */
  beforeIssuing: () => Promise<void> = async () => {};

  private constructor(facts: {
    siteCode: string;
    isTop: boolean;
    root: IssuedCertificate;
    authority: IssuedCertificate;
    clock: FakeClock;
  }) {
    this.siteCode = facts.siteCode;
    this.isTop = facts.isTop;
    this.root = facts.root;
    this.#authority = facts.authority;
    this.#clock = facts.clock;
  }

  /** @param options.of the hierarchy it belongs to; absent: one of its own */
  static async create(
    clock: FakeClock,
    options: { siteCode?: string; isTop?: boolean; of?: TestAuthority } = {},
  ): Promise<TestAuthority> {
    const { siteCode = 'PS1', isTop = true, of } = options;
    const validity = validityAt(clock, 730);
    const root = of?.root ?? (await issueRoot({ name: 'Waybill root', ...validity }));
    const key = await newPrivateKey();
    const publicKey = publicKeyInfoOf(key);
    const certificate = await issueSiteAuthority(root, { siteCode, publicKey, ...validity });
    return new TestAuthority({ siteCode, isTop, root, authority: { certificate, key }, clock });
  }

  /** As when the root was changed and the one before retired: another certificate for the same key. */
  async changeRoot(): Promise<void> {
    const { siteCode } = this;
    const validity = validityAt(this.#clock, 730);
    this.root = await issueRoot({ name: 'Waybill root', ...validity });
    const publicKey = publicKeyInfoOf(this.#authority.key);
    const certificate = await issueSiteAuthority(this.root, { siteCode, publicKey, ...validity });
    this.#authority = { ...this.#authority, certificate };
  }

  /** Whatever the authority's key can sign. */
  get signer(): IssuedCertificate {
    return this.#authority;
  }

  roots(): readonly string[] {
    return [this.root.certificate];
  }

  authorityCertificate(): string {
    return this.#authority.certificate;
  }

  /** The key of the authority, for renewing it. PEM. */
  get authorityKey(): string {
    return this.#authority.key;
  }

  async issueLeaf(identity: PeerIdentity, request: Uint8Array): Promise<string> {
    await this.beforeIssuing();
    const { publicKey } = await readCertificateRequest(request);
    return this.#keep(
      await issueLeaf(this.#authority, {
        commonName: holderOf(identity),
        uris: [toIdentityUri(identity)],
        publicKey,
        ...validityAt(this.#clock, 90),
      }),
    );
  }

  async issueSiteAuthority(siteCode: string, request: Uint8Array): Promise<string> {
    await this.beforeIssuing();
    const { publicKey } = await readCertificateRequest(request);
    const validity = validityAt(this.#clock, 730);
    return this.#keep(await issueSiteAuthority(this.root, { siteCode, publicKey, ...validity }));
  }

  #keep(pem: string): string {
    this.issued.push(pem);
    return pem;
  }
}

function validityAt(clock: FakeClock, days: number) {
  const nowMs = clock.nowMs();
  return { notBefore: new Date(nowMs - 5 * minuteMs), notAfter: new Date(nowMs + days * dayMs) };
}

/** The certificate in an answer. */
export function certificateIn(answer: { certificate?: unknown }): X509Certificate {
  return new X509Certificate(answer.certificate as Buffer);
}
