import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { requireSound } from '../certificates/secret-files.ts';
import { mayVouch } from '../domain/certificate-authority.ts';
import { WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { toSystemReason } from '../runtime/system-reason.ts';
import { identityOfSubjectAltName } from './certificate-identity.ts';
import {
  authoritiesOf,
  type CertificateChain,
  certificateBlocks,
  chainOf,
  isIssuedBy,
  refusalOfTime,
  voucherOfChain,
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
  /** Calls the listener after each change, of credentials that change. @returns what ends that */
  readonly onChange?: (listener: () => void) => () => void;
}

/** Where the credentials lie, PEM each. */
export interface PeerCredentialFiles {
  readonly caFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** How our own credentials are read. */
export interface CredentialsOptions {
  /** @default now */
  readonly nowMs?: number;
  /** Who the certificate must be of, where the configuration says so. */
  readonly identity?: PeerIdentity;
  /**
   * Takes what is not valid yet or not any more, too: an agent stays up with it, and says so (SEC-3).
   *
   * @default false
   */
  readonly atAnyTime?: boolean;
  /**
   * Whether a certificate is taken that none of the roots stands behind: the root has changed, and its holder can
   * follow it by its key.
   *
   * @default never
   */
  readonly isTakenWithoutRoot?: (certificate: Buffer) => boolean;
  /** What brings its holder back when none of the roots stands behind it and it is not taken. */
  readonly wayBack?: string;
}

/**
 * Reads our own credentials and makes sure that peers will accept them, so that a wrong file is
 * told at start and not by a failed handshake.
 *
 * @throws CERTIFICATE_INVALID naming the file: cannot be read, no PEM, expired or not yet valid, not
 * signed by the CA, no identity of ours or another in it, or a key that is not the certificate's, or that
 * others may read
 */
export async function readPeerCredentials(
  files: PeerCredentialFiles,
  options: CredentialsOptions = {},
): Promise<PeerCredentials> {
  const [ca, certificate, key] = await Promise.all([
    readPem(files.caFile, "the CA's certificate"),
    readPem(files.certificateFile, 'a certificate'),
    readKey(files.keyFile),
  ]);
  const chain = parseChain(files.certificateFile, certificate);
  const [own] = chain;
  const authorities = parseCertificates(files.caFile, ca);
  checkAuthorities(files.caFile, authorities);
  if (!isIssuedBy(chain, authorities)) checkTakenWithoutRoot(files, certificate, options);
  checkKey(files, own, key);
  const identity = requireIdentity(files.certificateFile, chain, authorities);
  if (options.identity) checkIdentity(files.certificateFile, identity, options.identity);
  const credentials = { ca, certificate: certificatesOf(certificate), key, identity };
  if (!options.atAnyTime) checkTime(files, credentials, options.nowMs ?? Date.now());
  return credentials;
}

/** Why peers do not accept credentials now, for their time alone, and of which file; undefined when they do. */
export function refusalOfCredentialTime(
  files: PeerCredentialFiles,
  { ca, certificate }: Pick<PeerCredentials, 'ca' | 'certificate'>,
  nowMs: number,
): { readonly path: string; readonly reason: string } | undefined {
  const [root, ...roots] = authoritiesOf(ca).map((one) => refusalOfTime(one, nowMs));
  // While a root is being replaced, one of them is enough.
  if (root !== undefined && roots.every((one) => one !== undefined)) {
    return { path: files.caFile, reason: root };
  }
  const [own, issuer] = chainOf(certificate);
  const reason =
    refusalOfTime(own, nowMs) ??
    (issuer && refusalOfTime(issuer, nowMs)?.replace(/^it /, 'its issuer '));
  return reason === undefined ? undefined : { path: files.certificateFile, reason };
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

/** A key that others may read is nobody's proof of anything. A link to it may stand in its place. */
function readKey(path: string): Promise<Buffer> {
  return asPem(path, 'a private key', async () => {
    // What is looked at is what is read, whatever takes its place; and no pipe makes us wait.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    requireSound(path, await file.stat());
    return await file.readFile();
  });
}

function readPem(path: string, expected: string): Promise<Buffer> {
  return asPem(path, expected, () => readFile(path));
}

/** @throws CERTIFICATE_INVALID when it cannot be read */
async function asPem(path: string, expected: string, read: () => Promise<Buffer>): Promise<Buffer> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof WaybillError) throw error;
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

function checkAuthorities(path: string, authorities: X509Certificate[]): void {
  for (const authority of authorities) {
    if (!authority.ca) throw invalid(path, 'it is not the certificate of a CA');
  }
}

function checkTakenWithoutRoot(
  { caFile, certificateFile }: PeerCredentialFiles,
  pem: Buffer,
  { isTakenWithoutRoot, wayBack }: CredentialsOptions,
): void {
  if (isTakenWithoutRoot?.(certificatesOf(pem))) return;
  const after = wayBack === undefined ? '' : `; ${wayBack}`;
  throw invalid(certificateFile, `it is not signed by the CA ${caFile}${after}`);
}

function checkTime(files: PeerCredentialFiles, credentials: PeerCredentials, nowMs: number): void {
  const refusal = refusalOfCredentialTime(files, credentials, nowMs);
  if (refusal) throw invalid(refusal.path, refusal.reason);
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

function requireIdentity(
  path: string,
  chain: CertificateChain,
  authorities: X509Certificate[],
): PeerIdentity {
  const identity = identityOfSubjectAltName(chain[0].subjectAltName);
  const voucher = voucherOfChain(chain, authorities);
  if (identity && (!voucher || mayVouch(voucher, identity))) return identity;
  const expected =
    'expected exactly one that its issuer may give, such as waybill://site/PS1 or waybill://dp/PS1DP1';
  throw invalid(path, `it has no Waybill identity among its URI names; ${expected}`);
}
