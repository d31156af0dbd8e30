/** The form of a prestaged file: docs/prestaged-file.md. */
import { parseHash } from '../domain/content.ts';
import { parsePackageId, sourceSiteOf } from '../domain/package.ts';
import type { SigningKey, SiteIdentity } from '../domain/site.ts';
import { isSiteIdentity } from '../site-identity/identity-check.ts';

/** What a prestaged file says of the package file in it, and who says so. */
export interface PrestagedHead {
  readonly packageId: string;
  readonly sourceVersion: number;
  /** The version it builds on, lower than the version itself; 0: all of the package is in it. */
  readonly baseVersion: number;
  /** BLAKE3-256 over the contents of the version, lower-case hexadecimal. */
  readonly packageHash: string;
  /** BLAKE3-256 of the package file, lower-case hexadecimal. */
  readonly fileHash: string;
  /** Of the package file alone. */
  readonly fileBytes: number;
  readonly madeAtMs: number;
  /** The site that made it, as it knew itself then: for whoever cannot ask the hierarchy. */
  readonly identity: SiteIdentity;
}

/** All that stands before the package file. */
export interface PrestagedBeginning {
  readonly head: PrestagedHead;
  /** The very bytes that are signed. */
  readonly signedBytes: Buffer;
  /** Ed25519, 64 bytes. */
  readonly signature: Buffer;
  readonly keyId: string;
}

/** First bytes of every prestaged file; the last digit is the version of the form. */
const magic = 'WBPRES1\n';

/** Bytes before the package file, always: so it begins where a block of the disk does. */
export const beginningBytes = 32 * 1024;

const keyIdBytes = 16;
const signatureBytes = 64;
/** The magic, then a line of JSON filled up with spaces, with its newline. */
const headBytes = beginningBytes - keyIdBytes - signatureBytes;

/** Highest source version, as on the wire. */
const sourceVersionMax = 2 ** 31;

const keyIdPattern = /^[0-9a-f]{16}$/;

/** The bytes of a head, to be signed. @throws RangeError when it is too long */
export function encodePrestagedHead(head: PrestagedHead): Buffer {
  const json = Buffer.from(jsonOf(head), 'utf8');
  const bytes = Buffer.alloc(headBytes, ' ');
  if (magic.length + json.length + 1 > headBytes) throw new RangeError('The head is too long');
  bytes.write(magic, 0, 'latin1');
  json.copy(bytes, magic.length);
  bytes.write('\n', headBytes - 1, 'latin1');
  return bytes;
}

/** The whole beginning: the head as it was signed, and who signed it. */
export function encodeBeginning(
  signedBytes: Uint8Array,
  { keyId, signature }: { readonly keyId: string; readonly signature: Uint8Array },
): Buffer {
  return Buffer.concat([signedBytes, Buffer.from(keyId, 'latin1'), signature]);
}

/**
 * The beginning that these bytes are; undefined unless they are what `encodeBeginning` makes of a
 * head that can be. Nothing of it is believed yet.
 */
export function decodeBeginning(bytes: Buffer): PrestagedBeginning | undefined {
  if (bytes.length !== beginningBytes || !isPrestagedFile(bytes)) return undefined;
  const signedBytes = bytes.subarray(0, headBytes);
  const said = parsed(signedBytes.subarray(magic.length));
  const keyId = bytes.toString('latin1', headBytes, headBytes + keyIdBytes);
  if (!isHead(said) || !keyIdPattern.test(keyId)) return undefined;
  const head = headOf(said);
  // There is one way to write it: what else stands there would be nobody's word.
  if (!encodedOrNone(head)?.equals(signedBytes)) return undefined;
  return { head, signedBytes, keyId, signature: bytes.subarray(headBytes + keyIdBytes) };
}

/** Whether a file that begins so is meant to be a prestaged file of this form. */
export function isPrestagedFile(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, magic.length) === magic;
}

function jsonOf(head: PrestagedHead): string {
  const { identity, ...said } = headOf(head);
  // The source site is said once more, for whoever looks at it with their own eyes.
  return JSON.stringify({ ...said, sourceSiteCode: sourceSiteOf(head.packageId), identity });
}

/** All that a head says, and nothing else, in the order in which it is written. */
function headOf(head: PrestagedHead): PrestagedHead {
  const { packageId, sourceVersion, baseVersion, packageHash, fileHash, fileBytes } = head;
  const { siteCode, address, agentVersion, signingKeys, signedAtMs } = head.identity;
  const { certificate, signature } = head.identity;
  return {
    ...{ packageId, sourceVersion, baseVersion, packageHash, fileHash, fileBytes },
    madeAtMs: head.madeAtMs,
    identity: {
      ...{ siteCode, address, agentVersion, signingKeys: signingKeys.map(keyOf), signedAtMs },
      ...{ certificate, signature },
    },
  };
}

function keyOf({ keyId, publicKey, createdAtMs, retiredAtMs }: SigningKey): SigningKey {
  return { keyId, publicKey, createdAtMs, retiredAtMs };
}

function parsed(json: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch {
    return undefined;
  }
}

function encodedOrNone(head: PrestagedHead): Buffer | undefined {
  try {
    return encodePrestagedHead(head);
  } catch {
    return undefined;
  }
}

function isHead(value: unknown): value is PrestagedHead {
  if (typeof value !== 'object' || value === null) return false;
  const head: Partial<PrestagedHead> = value;
  const { packageId, sourceVersion, baseVersion } = head;
  return (
    typeof packageId === 'string' &&
    parsePackageId(packageId) !== undefined &&
    isCount(sourceVersion, { min: 1, max: sourceVersionMax }) &&
    isCount(baseVersion, { min: 0, max: sourceVersion - 1 }) &&
    [head.packageHash, head.fileHash].every(isHash) &&
    isCount(head.fileBytes, { min: 1 }) &&
    isCount(head.madeAtMs, { min: 1 }) &&
    isSiteIdentity(head.identity)
  );
}

function isHash(value: unknown): boolean {
  return typeof value === 'string' && parseHash(value) !== undefined;
}

function isCount(
  value: unknown,
  { min, max = Number.MAX_SAFE_INTEGER }: { readonly min: number; readonly max?: number },
): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}
