/** Certificates as they are signed, and what they let a CA do: the only import of @peculiar/x509. */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { authorityNameOf } from '../domain/certificate-authority.ts';
import { newPrivateKey, publicKeyInfoOf } from './certificate-requests.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate and its key, PEM each. The key is never logged. */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** From when to when a certificate is valid. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A CA that nobody vouches for. */
export interface RootRequest extends Validity {
  /** Its common name. */
  readonly name: string;
  /** How many CAs may stand between it and a leaf. @default 1: site authorities */
  readonly pathLength?: number;
}

/** The authority of a site, which a root vouches for. */
export interface SiteAuthorityRequest extends Validity {
  readonly siteCode: string;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
}

/** What an agent's or person's certificate says. */
export interface LeafRequest extends Validity {
  /** For people who read certificates; nothing goes by it. */
  readonly commonName: string;
  /** The SAN URIs: one identity, or something else to make a broken certificate. */
  readonly uris: readonly string[];
}

/** A new root with a new P-256 key, signed by itself. */
export async function issueRoot(request: RootRequest): Promise<IssuedCertificate> {
  const { name, notBefore, notAfter, pathLength = 1 } = request;
  const key = await newPrivateKey();
  const keys = {
    privateKey: await signingKeyOf(key),
    publicKey: await publicKeyOf(publicKeyInfoOf(key)),
  };
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerialNumber(),
    name: [{ CN: [name] }],
    ...{ notBefore, notAfter, keys },
    signingAlgorithm: algorithm,
    extensions: await authorityExtensions(keys.publicKey, pathLength),
  });
  return { certificate: certificate.toString('pem'), key };
}

/** The certificate of a site's authority (PEM), signed by a root: it signs leaves, and no further CA. */
export async function issueSiteAuthority(
  root: IssuedCertificate,
  { siteCode, publicKey, ...validity }: SiteAuthorityRequest,
): Promise<string> {
  const key = await publicKeyOf(publicKey);
  const extensions = await authorityExtensions(key, 0);
  return issue(root, { ...validity, commonName: authorityNameOf(siteCode), key, extensions });
}

/** A certificate (PEM) for both ends of a connection, signed by a CA. */
export async function issueLeaf(
  authority: IssuedCertificate,
  { publicKey, ...request }: LeafRequest & { /** SPKI, DER. */ readonly publicKey: Uint8Array },
): Promise<string> {
  const key = await publicKeyOf(publicKey);
  const extensions = await leafExtensions(key, request.uris);
  return issue(authority, { ...request, key, extensions });
}

/** As `issueLeaf`, with a new P-256 key. */
export async function issueLeafWithKey(
  authority: IssuedCertificate,
  request: LeafRequest,
): Promise<IssuedCertificate> {
  const key = await newPrivateKey();
  const publicKey = publicKeyInfoOf(key);
  return { certificate: await issueLeaf(authority, { ...request, publicKey }), key };
}

/** What a CA may do, by its certificate. */
export interface AuthorityTerms {
  /** How many CAs may stand between it and a leaf; undefined: any number. */
  readonly pathLength: number | undefined;
  readonly maySignCertificates: boolean;
}

/** What a certificate (PEM) lets its holder do as a CA; undefined when it cannot be read, or is of no CA. */
export function authorityTermsOf(pem: string): AuthorityTerms | undefined {
  try {
    const certificate = new X509Certificate(pem);
    const constraints = certificate.getExtension(BasicConstraintsExtension);
    if (!constraints?.ca) return undefined;
    const usages = certificate.getExtension(KeyUsagesExtension)?.usages ?? 0;
    const maySignCertificates = (usages & KeyUsageFlags.keyCertSign) !== 0;
    return { pathLength: constraints.pathLength, maySignCertificates };
  } catch {
    return undefined;
  }
}

async function issue(
  issuer: IssuedCertificate,
  request: Validity & {
    readonly commonName: string;
    readonly key: webcrypto.CryptoKey;
    readonly extensions: readonly Extension[];
  },
): Promise<string> {
  const issuerCertificate = new X509Certificate(issuer.certificate);
  const { notBefore, notAfter } = request;
  const certificate = await X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: [{ CN: [request.commonName] }],
    issuer: issuerCertificate.subjectName,
    ...{ notBefore, notAfter },
    signingAlgorithm: algorithm,
    publicKey: request.key,
    signingKey: await signingKeyOf(issuer.key),
    extensions: [
      ...request.extensions,
      await AuthorityKeyIdentifierExtension.create(issuerCertificate),
    ],
  });
  return certificate.toString('pem');
}

async function authorityExtensions(
  key: webcrypto.CryptoKey,
  pathLength: number,
): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(true, pathLength, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    await SubjectKeyIdentifierExtension.create(key),
  ];
}

async function leafExtensions(
  key: webcrypto.CryptoKey,
  uris: readonly string[],
): Promise<Extension[]> {
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    // Names of this machine, for tools that check host names; agents check the URI.
    new SubjectAlternativeNameExtension([
      ...uris.map((value) => ({ type: 'url' as const, value })),
      { type: 'dns', value: 'localhost' },
      { type: 'ip', value: '127.0.0.1' },
    ]),
    await SubjectKeyIdentifierExtension.create(key),
  ];
}

/** 127 random bits: positive, as X.509 wants them. */
function newSerialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function publicKeyOf(publicKey: Uint8Array): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('spki', publicKey, algorithm, true, ['verify']);
}

function signingKeyOf(pem: string): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(pem), algorithm, false, [
    'sign',
  ]);
}
