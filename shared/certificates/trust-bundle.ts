import { createHash, createPrivateKey, sign, verify, X509Certificate } from 'node:crypto';
import type { RootSignature, TrustBundleRow } from '../domain/trust-bundle.ts';
import { refusalOfTime } from '../rpc/certificate-trust.ts';
import type { IssuedCertificate } from './certificate-issuing.ts';

/** All there is to say of the roots of a hierarchy, signed. */
export type TrustBundle = TrustBundleRow;

/** What an agent trusts now. */
export interface HeldTrust {
  readonly generation: number;
  /** PEM. */
  readonly roots: readonly string[];
}

/** What becomes of a bundle. */
export type BundleVerdict =
  | { readonly kind: 'newer'; readonly bundle: TrustBundle }
  /** Of the generation that is held, and sound. */
  | { readonly kind: 'same' }
  /** Of a generation that is over. Nothing is said of whether it is sound. */
  | { readonly kind: 'older' }
  | { readonly kind: 'refused' /** The end of a sentence. */; readonly reason: string };

/** Two while the root changes, and a spare. */
export const bundleRootCountMax = 4;
/**
 * How far a generation may be above the one that is held: nobody changes the root so often, and a thief of a
 * root key shall not use up the numbers, after which no bundle would be taken any more.
 */
export const generationStepMax = 1_000;
/** Four roots and signatures, with room. */
export const trustBundleBytesMax = 64 * 1024;
const certificateCharsMax = 8_192;
const signatureCharsMax = 200;

/** Says what the bytes are, so that a signature over them is good for nothing else. */
const heading = 'waybill trust bundle 1';

/** SHA-256 of the public key info of a certificate, in hex: what a token pins, and what names a root's key. */
export function rootKeyIdOf(certificate: string | X509Certificate): string {
  const { publicKey } =
    typeof certificate === 'string' ? new X509Certificate(certificate) : certificate;
  const info = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(info).digest('hex');
}

/**
 * The bytes that the signatures are over: the heading, generation, time of signing, number of roots, and
 * each root as DER, in their order. Texts and roots are their length in bytes (4, big endian) and their bytes; a
 * number is 8 bytes, big endian.
 */
export function trustBundleText(bundle: Omit<TrustBundle, 'signatures'>): Buffer {
  const { generation, signedAtMs, roots } = bundle;
  return Buffer.concat([
    sized(Buffer.from(heading)),
    ...[generation, signedAtMs, roots.length].map(numberBytes),
    ...roots.map((pem) => sized(new X509Certificate(pem).raw)),
  ]);
}

/** Signs what the roots are, with each of these roots' keys. */
export function signTrustBundle(
  unsigned: Omit<TrustBundle, 'signatures'>,
  signers: readonly IssuedCertificate[],
): TrustBundle {
  const roots = unsigned.roots.map((pem) => new X509Certificate(pem).toString());
  const facts = { ...unsigned, roots };
  const text = trustBundleText(facts);
  const signatures = signers.map(({ certificate, key }) => ({
    rootKeyId: rootKeyIdOf(certificate),
    signature: sign('sha256', text, createPrivateKey(key)).toString('base64'),
  }));
  return { ...facts, signatures };
}

/**
 * What becomes of a bundle that came from wherever: taken only when a root that is trusted here, and has
 * not expired, signed it. A signature that is wrong, or of a root that is not known, counts for nothing and does
 * no harm.
 */
export function verdictOnBundle(row: unknown, held: HeldTrust, nowMs: number): BundleVerdict {
  if (!isTrustBundle(row)) return refused('it is not a trust bundle');
  const step = row.generation - held.generation;
  if (step < 0) return { kind: 'older' };
  if (step > generationStepMax) {
    return refused(
      `its generation is ${row.generation}, ${step} above the one here; at most ${generationStepMax}`,
    );
  }
  const trusted = certificatesOf(held.roots)?.filter((root) => isCurrent(root, nowMs)) ?? [];
  if (!isSignedByOneOf(row, trusted)) return refused('no root that is trusted here has signed it');
  if (step === 0) return { kind: 'same' };
  const roots = certificatesOf(row.roots) ?? [];
  return roots.some((root) => isCurrent(root, nowMs))
    ? { kind: 'newer', bundle: row }
    : refused('none of its roots is valid now');
}

/** A bundle as it travels to agents that have no replication: JSON. */
export function encodeTrustBundle({
  generation,
  roots,
  signedAtMs,
  signatures,
}: TrustBundle): Buffer {
  return Buffer.from(JSON.stringify({ generation, roots, signedAtMs, signatures }));
}

/** What stands in such bytes, for a verdict; undefined when it is too long or no JSON. */
export function decodeTrustBundle(bytes: Uint8Array): unknown {
  if (bytes.length > trustBundleBytesMax) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Whether this has the form of a trust bundle; nothing of it is believed yet. */
export function isTrustBundle(row: unknown): row is TrustBundle {
  if (typeof row !== 'object' || row === null) return false;
  const { generation, roots, signedAtMs, signatures }: Partial<TrustBundle> = row;
  return (
    isCount(generation) &&
    generation > 0 &&
    isCount(signedAtMs) &&
    isListOf(roots, isRoot) &&
    new Set(roots.map((pem) => rootKeyIdOf(pem))).size === roots.length &&
    isListOf(signatures, isRootSignature)
  );
}

function isListOf<T>(value: unknown, isOne: (one: unknown) => one is T): value is T[] {
  const isShort = Array.isArray(value) && value.length > 0 && value.length <= bundleRootCountMax;
  return isShort && value.every(isOne);
}

/**
 * A CA that is signed by itself: nothing else can be the end of a chain. Its text is the one that stands for
 * its bytes, and no other: what is signed is the bytes, and a second certificate behind the first would
 * be nobody's word.
 */
function isRoot(pem: unknown): pem is string {
  if (typeof pem !== 'string' || pem.length > certificateCharsMax) return false;
  const [root] = certificatesOf([pem]) ?? [];
  if (!root?.ca || root.toString() !== pem) return false;
  return root.checkIssued(root) && isVerified(root, root);
}

function isRootSignature(value: unknown): value is RootSignature {
  if (typeof value !== 'object' || value === null) return false;
  const { rootKeyId, signature }: Partial<RootSignature> = value;
  return (
    typeof rootKeyId === 'string' &&
    /^[0-9a-f]{64}$/.test(rootKeyId) &&
    typeof signature === 'string' &&
    signature.length <= signatureCharsMax
  );
}

function isSignedByOneOf(bundle: TrustBundle, roots: readonly X509Certificate[]): boolean {
  const text = trustBundleText(bundle);
  return bundle.signatures.some(({ rootKeyId, signature }) => {
    const root = roots.find((one) => rootKeyIdOf(one) === rootKeyId);
    return root !== undefined && isSigned(text, root, Buffer.from(signature, 'base64'));
  });
}

function isSigned(text: Buffer, { publicKey }: X509Certificate, signature: Buffer): boolean {
  // Any other key, such as one that hashes otherwise, is none of a root of ours.
  if (publicKey.asymmetricKeyType !== 'ec') return false;
  return verify('sha256', text, publicKey, signature);
}

function isVerified(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    return false;
  }
}

/** Undefined when one of them is not a certificate. */
function certificatesOf(pems: readonly string[]): X509Certificate[] | undefined {
  try {
    return pems.map((pem) => new X509Certificate(pem));
  } catch {
    return undefined;
  }
}

function isCurrent(root: X509Certificate, nowMs: number): boolean {
  return refusalOfTime(root, nowMs) === undefined;
}

function refused(reason: string): BundleVerdict {
  return { kind: 'refused', reason };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
