/** The private keys of roots, as files in the authority's directory. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { IssuedCertificate } from '../../shared/certificates/certificate-issuing.ts';
import {
  type FileOwner,
  readSecretFile,
  writeSecretFile,
} from '../../shared/certificates/secret-files.ts';
import { rootKeyIdOf } from '../../shared/certificates/trust-bundle.ts';
import { WaybillError } from '../../shared/domain/errors.ts';

export const rootKeyName = /^root-[0-9a-f]{16}\.key$/;
const encryptedKeyMark = 'BEGIN ENCRYPTED PRIVATE KEY';
const passphraseCharsMin = 8;

/** A root's key is named by the key itself, so that no file is ever taken for that of another root. */
export function rootKeyFileOf(certificate: string): string {
  return `root-${rootKeyIdOf(certificate).slice(0, 16)}.key`;
}

/** The key as it is written: PKCS #8, and AES-256 with a passphrase. */
export function rootKeyText(key: string, passphrase: string | undefined): string {
  if (passphrase === undefined) return key;
  const options = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase } as const;
  return createPrivateKey(key).export(options).toString();
}

/** Writes a root's key, in one step. */
export async function writeRootKey(
  directory: string,
  root: IssuedCertificate,
  options: { readonly passphrase?: string | undefined; readonly owner?: FileOwner | undefined },
): Promise<void> {
  const path = join(directory, rootKeyFileOf(root.certificate));
  await writeSecretFile(path, rootKeyText(root.key, options.passphrase), options.owner);
}

/**
 * Reads a root's key.
 *
 * @param passphraseFile read only when the key is encrypted
 * @throws CERTIFICATE_INVALID when it is missing, not the root's, or cannot be decrypted; no reason
 *   ever holds the passphrase
 */
export async function readRootKey(
  directory: string,
  certificate: string,
  passphraseFile: string | undefined,
): Promise<IssuedCertificate> {
  const path = join(directory, rootKeyFileOf(certificate));
  const text = await readSecretFile(path);
  if (text === undefined) throw unusable(path, 'there is no such file; put it back from a backup');
  const key = await decrypted(path, text, passphraseFile);
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
    throw unusable(path, 'it is not the key of the root it is named after');
  }
  return { certificate, key };
}

/** Whether a root's key is encrypted; undefined when it is not there. @throws CERTIFICATE_INVALID */
export async function isRootKeyEncrypted(
  directory: string,
  certificate: string,
): Promise<boolean | undefined> {
  const text = await readSecretFile(join(directory, rootKeyFileOf(certificate)));
  return text?.includes(encryptedKeyMark);
}

/**
 * The passphrase of a file: its one line.
 *
 * @throws CERTIFICATE_INVALID when there is none, or others may read it
 */
export async function readPassphrase(path: string): Promise<string> {
  const text = await readSecretFile(path);
  if (text === undefined)
    throw unusable(path, 'there is no such file; expected a passphrase in it');
  const passphrase = text.replace(/\r?\n$/, '');
  if (passphrase.length < passphraseCharsMin || passphrase.includes('\n')) {
    throw unusable(path, `expected one line of at least ${passphraseCharsMin} characters in it`);
  }
  return passphrase;
}

async function decrypted(path: string, text: string, passphraseFile: string | undefined) {
  const isEncrypted = text.includes(encryptedKeyMark);
  if (isEncrypted && passphraseFile === undefined) {
    throw unusable(path, 'it is encrypted; authority.rootPassphraseFile is to name its passphrase');
  }
  const passphrase =
    isEncrypted && passphraseFile !== undefined ? await readPassphrase(passphraseFile) : undefined;
  try {
    const key = createPrivateKey({ key: text, ...(passphrase !== undefined && { passphrase }) });
    return key.export({ type: 'pkcs8', format: 'pem' }).toString();
  } catch (error) {
    const reason = isEncrypted
      ? `the passphrase in ${passphraseFile} is not the one it is encrypted with`
      : 'it is not a private key';
    throw unusable(path, reason, error);
  }
}

function unusable(path: string, reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_INVALID', path, reason }, { cause });
}
