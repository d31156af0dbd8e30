import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { toSystemReason } from '../runtime/system-reason.ts';
import { certifiedPeerOf } from './certificate-identity.ts';
import {
  type CertificateChain,
  certificateBlocks,
  chainOf,
  isIssuedBy,
  refusalOfTime,
} from './certificate-trust.ts';

/** Who we are on every connection: certificate, its key, and the CA that everybody must be from. */
export interface PeerCredentials {
  /** PEM, roots; several while a root is being replaced. */
  readonly ca: Buffer;
  /** PEM: our own, then the site authority it was issued by, unless the root issued it. */
  readonly certificate: Buffer;
  /** PEM. Never logged. */
  readonly key: Buffer;
  readonly identity: PeerIdentity;
}

/** Where the credentials lie, PEM each. */
export interface PeerCredentialFiles {
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/**
 * Reads our own credentials and makes sure that peers will accept them, so that a wrong file is
 * told at start and not by a failed handshake.
 *
 * @param options.identity who the certificate must be of, where the configuration says so
 * @throws CERTIFICATE_INVALID naming the file: cannot be read, no PEM, expired or not yet valid, not
 * signed by the CA, no identity of ours or another in it, or a key that is not the certificate's
 */
export async function readPeerCredentials(
  files: PeerCredentialFiles,
  options: { readonly nowMs?: number; readonly identity?: PeerIdentity } = {},
): Promise<PeerCredentials> {
  const { nowMs = Date.now() } = options;
  const [ca, certificate, key] = await Promise.all([
    readPem(files.caFile, "the CA's certificate"),
    readPem(files.certificateFile, 'a certificate'),
    readPem(files.keyFile, 'a private key'),
  ]);
  const chain = parseChain(files.certificateFile, certificate);
  const [own] = chain;
  const authorities = parseCertificates(files.caFile, ca);
  checkAuthorities(files.caFile, authorities, nowMs);
  checkSigned(files, chain, authorities);
  checkValidity(files.certificateFile, own, nowMs);
  checkKey(files, own, key);
  const identity = requireIdentity(files.certificateFile, own);
  if (options.identity) checkIdentity(files.certificateFile, identity, options.identity);
  return { ca, certificate: certificatesOf(certificate), key, identity };
}

/** Certificates are shown to everybody; the file may hold the key as well, which is not. */
function certificatesOf(pem: Buffer): Buffer {
  return Buffer.from(
    certificateBlocks(pem)
      .map((block) => `${block.trim()}\n`)
      .join(''),
    'latin1',
  );
}

function checkIdentity(path: string, actual: PeerIdentity, expected: PeerIdentity): void {
  const [is, shouldBe] = [toIdentityUri(actual), toIdentityUri(expected)];
  if (is !== shouldBe) throw invalid(path, `it is the certificate of ${is}; expected ${shouldBe}`);
}

function invalid(path: string, reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause });
}

async function readPem(path: string, expected: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const reason = toSystemReason(error);
    throw invalid(path, `it cannot be read: ${reason}; expected ${expected}, as PEM`, error);
  }
}

function parseChain(path: string, pem: Buffer): CertificateChain {
  return parsed(path, () => chainOf(pem));
}

function parseCertificates(path: string, pem: Buffer): X509Certificate[] {
  return parsed(path, () => certificateBlocks(pem).map((block) => new X509Certificate(block)));
}

function parsed<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw invalid(path, 'it is not a certificate; expected "-----BEGIN CERTIFICATE-----"', error);
  }
}

function checkAuthorities(path: string, authorities: X509Certificate[], nowMs: number): void {
  for (const authority of authorities) {
    if (!authority.ca) throw invalid(path, 'it is not the certificate of a CA');
  }
  const first = authorities[0];
  const someValid = authorities.some((authority) => refusalOfTime(authority, nowMs) === undefined);
  if (first && !someValid) throw invalid(path, refusalOfTime(first, nowMs) ?? '');
}

function checkSigned(
  files: PeerCredentialFiles,
  chain: CertificateChain,
  authorities: X509Certificate[],
): void {
  if (isIssuedBy(chain, authorities)) return;
  throw invalid(files.certificateFile, `it is not signed by the CA ${files.caFile}`);
}

function checkValidity(path: string, certificate: X509Certificate, nowMs: number): void {
  const refusal = refusalOfTime(certificate, nowMs);
  if (refusal) throw invalid(path, refusal);
}

function checkKey(files: PeerCredentialFiles, own: X509Certificate, pem: Buffer): void {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw invalid(files.keyFile, 'it is not a private key; expected PEM without a password', error);
  }
  if (own.checkPrivateKey(key)) return;
  throw invalid(files.keyFile, `it is not the key of the certificate ${files.certificateFile}`);
}

function requireIdentity(path: string, own: X509Certificate): PeerIdentity {
  const peer = certifiedPeerOf(own.toLegacyObject());
  if (peer) return peer.identity;
  const expected =
    'expected exactly one that its issuer may give, such as waybill://site/PS1 or waybill://dp/PS1DP1';
  throw invalid(path, `it has no Waybill identity among its URI names; ${expected}`);
}
