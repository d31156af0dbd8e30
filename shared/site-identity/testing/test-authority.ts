import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { PeerCredentials } from '../../rpc/peer-credentials.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 24 * 60 * 60_000;

/** What is wrong with a certificate of a test. */
export interface CertificateFlaws {
  /** @default that of the site */
  readonly uri?: string;
  readonly isAuthority?: boolean;
  /** @default a year */
  readonly validMs?: number;
}

/** A CA of a test, at whatever time the test plays. */
export class TestAuthority {
  readonly pem: string;
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #nowMs: number;

  private constructor(pem: string, keys: webcrypto.CryptoKeyPair, nowMs: number) {
    this.pem = pem;
    this.#keys = keys;
    this.#nowMs = nowMs;
  }

  static async create(nowMs: number, name = 'Test CA'): Promise<TestAuthority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: [{ CN: [name] }],
      ...validity(nowMs, 3650 * dayMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [new BasicConstraintsExtension(true, 0, true)],
    });
    return new TestAuthority(certificate.toString('pem'), keys, nowMs);
  }

  /** The credentials of a site; `ca` is what that site trusts. */
  async credentials(
    siteCode: string,
    { uri = `waybill://site/${siteCode}`, isAuthority, validMs }: CertificateFlaws = {},
    ca = this.pem,
  ): Promise<PeerCredentials> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.create({
      serialNumber: '02',
      subject: [{ CN: [siteCode] }],
      issuer: new X509Certificate(this.pem).subjectName,
      ...validity(this.#nowMs, validMs ?? 365 * dayMs),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        new BasicConstraintsExtension(isAuthority ?? false, undefined, true),
        new SubjectAlternativeNameExtension([{ type: 'url', value: uri }]),
      ],
    });
    return {
      ca: Buffer.from(ca),
      certificate: Buffer.from(certificate.toString('pem')),
      key: Buffer.from(await toPem(keys.privateKey)),
      identity: { kind: 'site', siteCode },
    };
  }
}

function validity(nowMs: number, validMs: number) {
  return { notBefore: new Date(nowMs - dayMs), notAfter: new Date(nowMs + validMs) };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', key);
  return PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag);
}
