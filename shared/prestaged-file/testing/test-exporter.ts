import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  X509Certificate,
} from 'node:crypto';
import { hashOf } from '../../content-library/content-hash.ts';
import type { SigningKey, SiteIdentity } from '../../domain/site.ts';
import { digestOf, keyIdOf } from '../../site-identity/identity-check.ts';
import { identityText } from '../../site-identity/identity-text.ts';
import {
  type CertificateFlaws,
  TestAuthority,
} from '../../site-identity/testing/test-authority.ts';
import {
  encodeBeginning,
  encodePrestagedHead,
  type PrestagedHead,
} from '../prestaged-file-format.ts';

/** A site that exports, as one who signs by hand: so it may also lie. */
export class TestExporter {
  readonly siteCode: string;
  readonly identity: SiteIdentity;
  readonly authority: TestAuthority;
  readonly #nowMs: number;
  readonly #key: KeyObject;
  readonly #keyId: string;

  private constructor(parts: {
    identity: SiteIdentity;
    authority: TestAuthority;
    nowMs: number;
    key: KeyObject;
    keyId: string;
  }) {
    this.siteCode = parts.identity.siteCode;
    this.identity = parts.identity;
    this.authority = parts.authority;
    this.#nowMs = parts.nowMs;
    this.#key = parts.key;
    this.#keyId = parts.keyId;
  }

  static async create(options: {
    readonly nowMs: number;
    readonly siteCode?: string;
    readonly authority?: TestAuthority;
    readonly flaws?: CertificateFlaws;
    readonly retiredAtMs?: number;
  }): Promise<TestExporter> {
    const { nowMs, siteCode = 'CS1', retiredAtMs = 0 } = options;
    const authority = options.authority ?? (await TestAuthority.create(nowMs));
    const credentials = await authority.credentials(siteCode, options.flaws);
    const { publicKey, privateKey: key } = generateKeyPairSync('ed25519');
    const der = publicKey.export({ type: 'spki', format: 'der' });
    const keyId = keyIdOf(der);
    const listed: SigningKey = {
      ...{ keyId, publicKey: der.toString('base64'), createdAtMs: nowMs - 2_000, retiredAtMs },
    };
    const unsigned = {
      ...{ siteCode, address: 'cs1.test:8530', agentVersion: '1.0.0', signingKeys: [listed] },
      ...{ signedAtMs: nowMs - 1_000, certificate: credentials.certificate.toString('latin1') },
    };
    const own = createPrivateKey(credentials.key);
    const signature = sign(digestOf(own), identityText(unsigned), own).toString('base64');
    const identity = { ...unsigned, signature };
    return new TestExporter({ identity, authority, nowMs, key, keyId });
  }

  /** What whoever has the CA of this site trusts. */
  get authorities(): readonly X509Certificate[] {
    return [new X509Certificate(this.authority.pem)];
  }

  /** The head for a package file of these bytes. */
  head(packageFile: Uint8Array, facts: Partial<PrestagedHead> = {}): PrestagedHead {
    return {
      packageId: 'CS100001',
      sourceVersion: 1,
      baseVersion: 0,
      packageHash: hashOf(Buffer.from('a package')),
      fileHash: hashOf(packageFile),
      fileBytes: packageFile.length,
      madeAtMs: this.#nowMs,
      identity: this.identity,
      ...facts,
    };
  }

  /** A whole file, signed; what is given of its head may be a lie. */
  file(packageFile: Uint8Array, facts: Partial<PrestagedHead> = {}): Buffer {
    const bytes = encodePrestagedHead(this.head(packageFile, facts));
    const signature = sign(null, bytes, this.#key);
    return Buffer.concat([encodeBeginning(bytes, { keyId: this.#keyId, signature }), packageFile]);
  }
}
