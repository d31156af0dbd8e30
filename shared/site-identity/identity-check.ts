import { createPublicKey, type KeyObject, verify, type X509Certificate } from 'node:crypto';
import { hashOf } from '../content-library/content-hash.ts';
import { parseAddress } from '../domain/distribution-point.ts';
import { parseSiteCode, type SigningKey, type SiteIdentity } from '../domain/site.ts';
import { type CertificateChain, chainOf, refusalOfCertificate } from '../rpc/certificate-trust.ts';
import { identityText } from './identity-text.ts';

/** Signing keys one site may list: the one in use, and those of the last 30 days. */
export const signingKeyCountMax = 32;
/** Longest certificate, in characters of PEM. */
const certificateCharsMax = 16_384;
const textCharsMax = 300;

/** The ID of a public key: the first 16 hex digits of its BLAKE3-256. */
export function keyIdOf(publicKeyDer: Uint8Array): string {
  return hashOf(publicKeyDer).slice(0, 16);
}

/** What a site identity is checked against. */
export interface IdentityTrust {
  readonly siteCode: string;
  readonly authorities: readonly X509Certificate[];
  /** Undefined: whether its certificate counts now is judged later. */
  readonly nowMs: number | undefined;
}

/**
 * Why a site identity is not believed, in words; undefined when it is: well formed, its certificate
 * one of that very site by our CA and valid now, signed by that certificate's key.
 */
export function refusalOfIdentity(row: unknown, trust: IdentityTrust): string | undefined {
  if (!isSiteIdentity(row)) return 'it is not a site identity';
  if (row.siteCode !== trust.siteCode) return `it is of site ${row.siteCode}`;
  const chain = chainOfText(row.certificate);
  if (!chain) return 'its certificate cannot be read';
  const identity = { kind: 'site', siteCode: trust.siteCode } as const;
  const refusal = refusalOfCertificate(chain, { ...trust, identity });
  if (refusal !== undefined) return `its certificate is not accepted: ${refusal}`;
  if (!isSignedBy(row, chain[0].publicKey)) return 'its signature is not right';
  return refusalOfKeys(row.signingKeys);
}

/** The public key of a signing key; undefined when it is no Ed25519 key of that ID. */
export function publicKeyOf({ keyId, publicKey }: SigningKey): KeyObject | undefined {
  try {
    const der = Buffer.from(publicKey, 'base64');
    if (keyIdOf(der) !== keyId) return undefined;
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}

/** What a private key of this kind signs with: Ed25519 hashes for itself. */
export function digestOf(key: KeyObject): 'sha256' | null {
  return key.asymmetricKeyType?.startsWith('ed') ? null : 'sha256';
}

function isSignedBy(row: SiteIdentity, key: KeyObject): boolean {
  try {
    const signature = Buffer.from(row.signature, 'base64');
    return verify(digestOf(key), identityText(row), key, signature);
  } catch {
    return false;
  }
}

function refusalOfKeys(keys: readonly SigningKey[]): string | undefined {
  const ids = new Set(keys.map(({ keyId }) => keyId));
  if (ids.size < keys.length) return 'one of its signing keys is there twice';
  const wrong = keys.find((key) => publicKeyOf(key) === undefined);
  return wrong && `its signing key ${wrong.keyId} is not an Ed25519 key of that ID`;
}

function chainOfText(pem: string): CertificateChain | undefined {
  try {
    return chainOf(Buffer.from(pem, 'latin1'));
  } catch {
    return undefined;
  }
}

/** What stands in a row beside the signed fields would be somebody else's word. */
const identityFields = [
  'siteCode',
  'address',
  'agentVersion',
  'signingKeys',
  'signedAtMs',
  'certificate',
  'signature',
];
const keyFields = ['keyId', 'publicKey', 'createdAtMs', 'retiredAtMs'];

/** Whether this has the form of a site identity; nothing of it is believed yet. */
export function isSiteIdentity(row: unknown): row is SiteIdentity {
  if (!hasOnly(row, identityFields)) return false;
  const one: Partial<SiteIdentity> = row;
  return (
    isText(one.siteCode, 3) &&
    parseSiteCode(one.siteCode) !== undefined &&
    isText(one.address, textCharsMax) &&
    (one.address === '' || parseAddress(one.address) !== undefined) &&
    isText(one.agentVersion, textCharsMax) &&
    isCount(one.signedAtMs) &&
    isText(one.certificate, certificateCharsMax) &&
    isText(one.signature, 4 * textCharsMax) &&
    Array.isArray(one.signingKeys) &&
    one.signingKeys.length <= signingKeyCountMax &&
    one.signingKeys.every(isSigningKey)
  );
}

/** Whether this has the form of a signing key; nothing of it is believed yet. */
export function isSigningKey(key: unknown): key is SigningKey {
  if (!hasOnly(key, keyFields)) return false;
  const { keyId, publicKey, createdAtMs, retiredAtMs }: Partial<SigningKey> = key;
  return (
    isText(keyId, 16) &&
    /^[0-9a-f]{16}$/.test(keyId) &&
    isText(publicKey, textCharsMax) &&
    isCount(createdAtMs) &&
    isCount(retiredAtMs)
  );
}

function hasOnly(value: unknown, fields: readonly string[]): value is object {
  if (typeof value !== 'object' || value === null) return false;
  return Object.keys(value).every((field) => fields.includes(field));
}

function isText(value: unknown, charsMax: number): value is string {
  return typeof value === 'string' && value.length <= charsMax && value.isWellFormed();
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
