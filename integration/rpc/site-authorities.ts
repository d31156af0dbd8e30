import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { authorityNameOf } from '../../shared/domain/certificate-authority.ts';
import { type PeerIdentity, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const hourMs = 3_600_000;

/** A CA, as a test makes certificates with it. */
export interface TestCa {
  /** PEM. */
  readonly certificate: string;
  readonly keys: webcrypto.CryptoKeyPair;
}

/** A root with nothing below it yet. @param as its name and keys, where they matter */
export async function newRoot(
  as: { readonly name?: string; readonly keys?: webcrypto.CryptoKeyPair } = {},
): Promise<TestCa> {
  const { name = 'Waybill root test', keys = await newKeys() } = as;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: [{ CN: [name] }],
    ...lifeFrom(Date.now() - 9 * hourMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: await extensionsOfCa(keys, 1),
  });
  return { certificate: certificate.toString('pem'), keys };
}

/** The authority of a site, valid from then on. */
export async function newSiteAuthority(
  root: TestCa,
  siteCode: string,
  {
    notBeforeMs = Date.now() - hourMs,
    keys,
  }: { notBeforeMs?: number; keys?: webcrypto.CryptoKeyPair } = {},
): Promise<TestCa> {
  const own = keys ?? (await newKeys());
  const certificate = await signed(root, {
    ...{ name: authorityNameOf(siteCode), notBeforeMs, publicKey: own.publicKey },
    extensions: await extensionsOfCa(own, 0),
  });
  return { certificate, keys: own };
}

/** What an agent has whose certificate a site's authority issued. @param sent what it shows after its own */
export async function credentialsBy(
  root: TestCa,
  authority: TestCa,
  identity: PeerIdentity,
  { notBeforeMs = Date.now() - hourMs, sent = [authority.certificate] } = {},
): Promise<PeerCredentials> {
  const keys = await newKeys();
  const url = toIdentityUri(identity);
  const own = await signed(authority, {
    ...{ name: url, notBeforeMs, publicKey: keys.publicKey },
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new SubjectAlternativeNameExtension([{ type: 'url', value: url }]),
    ],
  });
  return {
    ca: Buffer.from(root.certificate),
    certificate: Buffer.from([own, ...sent].join('\n')),
    key: Buffer.from(await toPem(keys.privateKey)),
    identity,
  };
}

async function signed(
  issuer: TestCa,
  request: {
    readonly name: string;
    readonly notBeforeMs: number;
    readonly publicKey: webcrypto.CryptoKey;
    readonly extensions: readonly Extension[];
  },
): Promise<string> {
  const issuerCertificate = new X509Certificate(issuer.certificate);
  const keyIdentifier = await AuthorityKeyIdentifierExtension.create(issuerCertificate);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: webcrypto.randomUUID().replaceAll('-', '').replace(/^./, '4'),
    subject: [{ CN: [request.name] }],
    issuer: issuerCertificate.subjectName,
    ...lifeFrom(request.notBeforeMs),
    signingAlgorithm: algorithm,
    publicKey: request.publicKey,
    signingKey: issuer.keys.privateKey,
    extensions: [...request.extensions, keyIdentifier],
  });
  return certificate.toString('pem');
}

async function extensionsOfCa(keys: webcrypto.CryptoKeyPair, pathLength: number) {
  return [
    new BasicConstraintsExtension(true, pathLength, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
  ];
}

function lifeFrom(notBeforeMs: number) {
  return { notBefore: new Date(notBeforeMs), notAfter: new Date(notBeforeMs + 24 * hourMs) };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(
    await webcrypto.subtle.exportKey('pkcs8', key),
    PemConverter.PrivateKeyTag,
  );
}
