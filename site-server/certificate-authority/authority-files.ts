import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { IssuedCertificate } from '../../shared/certificates/certificate-issuing.ts';
import { readPairFile, writePairFile } from '../../shared/certificates/pair-file.ts';
import {
  type FileOwner,
  readSecretFile,
  requireForOwnerOnly,
  writeSecretFile,
} from '../../shared/certificates/secret-files.ts';
import { isTrustBundle, type TrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';

const authorityName = 'authority.pem';
const bundleName = 'trust-bundle.json';

/** What is in a site's directory `authority/`. */
export interface AuthorityContent {
  readonly authority: IssuedCertificate;
  /** At the top: the roots, of which it has the key of the first one. */
  readonly bundle?: TrustBundle;
}

/**
 * Reads `authority/`; undefined when there is none, as with development certificates.
 *
 * @throws CERTIFICATE_INVALID naming the file: others may read it, or it is not what it must be
 */
export async function readAuthority(directory: string): Promise<AuthorityContent | undefined> {
  try {
    await requireForOwnerOnly(directory);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  const path = join(directory, authorityName);
  const bundle = await readBundle(directory);
  const isTop = bundle !== undefined;
  // Who may read it is told as it is; what is wrong with its text, with what brings it back.
  await readSecretFile(path);
  const pair = await readPairFile(path).catch((error: unknown) => {
    const { details } = error instanceof WaybillError ? error : {};
    if (details?.code !== 'CERTIFICATE_INVALID') throw error;
    throw unusable(path, `${details.reason}; ${wayBack(directory, isTop)}`, error);
  });
  if (!pair) throw unusable(path, `there is no such file; ${wayBack(directory, isTop)}`);
  const authority = { certificate: pair.certificates[0] ?? '', key: pair.key };
  const spoilt = spoiltPart(authority);
  if (spoilt) throw unusable(path, `its ${spoilt} is spoilt; ${wayBack(directory, isTop)}`);
  return { authority, ...(bundle && { bundle }) };
}

/** What brings an authority back that cannot be used. Nothing of it is to be removed: beside it may be the root's key. */
function wayBack(directory: string, isTop: boolean): string {
  return isTop
    ? `move ${directory} away, and call "waybill-site restore-authority" with its backup`
    : `call "waybill site enroll" for this site at the top site, move ${directory} away, and call here what that prints`;
}

function spoiltPart({ certificate, key }: IssuedCertificate): string | undefined {
  try {
    const parsedKey = createPrivateKey(key);
    return new X509Certificate(certificate).checkPrivateKey(parsedKey) ? undefined : 'key';
  } catch {
    return 'certificate or its key';
  }
}

/** The roots as the top's directory has them; undefined below the top. @throws CERTIFICATE_INVALID */
export async function readBundle(directory: string): Promise<TrustBundle | undefined> {
  const path = join(directory, bundleName);
  const text = await readSecretFile(path);
  if (text === undefined) return undefined;
  const bundle = parsed(text);
  if (isTrustBundle(bundle)) return bundle;
  throw unusable(path, `it is not a trust bundle; ${wayBack(directory, true)}`);
}

/** Writes the authority of the site, in one step. */
export function writeAuthority(
  directory: string,
  { certificate, key }: IssuedCertificate,
  owner?: FileOwner,
): Promise<void> {
  return writePairFile(join(directory, authorityName), { key, certificates: [certificate] }, owner);
}

/**
 * Makes sure that the site was not enrolled anew while it ran: an authority of another key is never written over.
 * What cannot be read is none, and who has the key writes it whole again.
 *
 * @throws CERTIFICATE_INVALID
 */
export async function requireSameKey(
  directory: string,
  { key }: Pick<IssuedCertificate, 'key'>,
): Promise<void> {
  const path = join(directory, authorityName);
  const pair = await readPairFile(path).catch(unlessInvalid);
  if (!pair || pair.key.trim() === key.trim()) return;
  throw unusable(path, 'the site was enrolled anew since it started: start it again');
}

/** Of a file that is not what it must be: nothing. */
export function unlessInvalid(error: unknown): undefined {
  if (!isErrorWithCode(error, 'CERTIFICATE_INVALID')) throw error;
}

/** Writes the roots, in one step: this is the moment at which they change. */
export function writeBundle(
  directory: string,
  bundle: TrustBundle,
  owner?: FileOwner,
): Promise<void> {
  const text = `${JSON.stringify(bundle, null, 2)}\n`;
  return writeSecretFile(join(directory, bundleName), text, owner);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unusable(path: string, reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause });
}
