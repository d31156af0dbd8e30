import {
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { promisify } from 'node:util';
import { WaybillError } from '../domain/errors.ts';
import { DerError, DerReader, derElement } from './der.ts';

const newKeyPair = promisify(generateKeyPair);

/** A request with a P-256 key has some 200 bytes; other programs add a subject and extensions. */
export const certificateRequestBytesMax = 4_096;

/** What a certificate request asks for: a certificate for this key. The rest of it is not read. */
export interface RequestedKey {
  /** SPKI, DER: a P-256 point that is on the curve. */
  readonly publicKey: Buffer;
}

/** All of the public key info of a P-256 key before its 64 bytes of coordinates; RFC 5480. */
const p256InfoHeader = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const p256InfoBytes = p256InfoHeader.length + 64;
/** The algorithm identifier of ECDSA with SHA-256; RFC 5758. */
const ecdsaWithSha256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
const version0 = Buffer.from([0]);
/** Before the content of a bit string: no bit of its last byte is unused. */
const noUnusedBits = Buffer.from([0]);

/** A new private key: PEM, PKCS #8, P-256. Never logged, never sent. */
export async function newPrivateKey(): Promise<string> {
  const { privateKey } = await newKeyPair('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The public key info (SPKI, DER) of a private key in PEM. */
export function publicKeyInfoOf(keyPem: string): Buffer {
  return createPublicKey(createPrivateKey(keyPem)).export({ type: 'spki', format: 'der' });
}

/** Asks for a certificate for this key: PKCS #10, DER, without subject and attributes (RFC 2986). */
export async function certificateRequestOf(keyPem: string): Promise<Buffer> {
  const publicKey = publicKeyInfoOf(keyPem);
  if (!isP256Info(publicKey)) throw new Error('A certificate is asked for with a P-256 key only');
  const info = derElement(
    'sequence',
    derElement('integer', version0),
    derElement('sequence'),
    publicKey,
    derElement('attributes'),
  );
  const signature = derElement('bitString', noUnusedBits, sign('sha256', info, keyPem));
  return derElement('sequence', info, ecdsaWithSha256, signature);
}

/**
 * Reads a certificate request of whoever: bounded, no deeper than its form, and believed only with
 * the signature of the very key it holds.
 *
 * @throws CERTIFICATE_REQUEST_INVALID saying what is wrong with it
 */
export async function readCertificateRequest(der: Uint8Array): Promise<RequestedKey> {
  if (der.length > certificateRequestBytesMax) {
    throw invalid(`it has ${der.length} bytes, at most ${certificateRequestBytesMax} are read`);
  }
  const { info, publicKey, signature } = partsOf(Buffer.from(der));
  if (!isSignedBy(publicKey, info, signature)) {
    throw invalid('its signature is not by the key that it is for');
  }
  return { publicKey };
}

/** The parts of a request that count, as they stand in its bytes. */
interface RequestParts {
  /** What is signed. */
  readonly info: Buffer;
  readonly publicKey: Buffer;
  readonly signature: Buffer;
}

function partsOf(der: Buffer): RequestParts {
  try {
    const outer = new DerReader(der);
    const request = new DerReader(outer.read('sequence', 'request').content);
    outer.end('request');
    const info = request.read('sequence', 'request info');
    const algorithm = request.read('sequence', 'signature algorithm');
    const signature = request.read('bitString', 'signature');
    request.end('signature');
    if (!algorithm.whole.equals(ecdsaWithSha256)) {
      throw new DerError('it is not signed with ECDSA and SHA-256');
    }
    return {
      info: info.whole,
      publicKey: publicKeyInfoIn(info.content),
      signature: bitsOf(signature.content),
    };
  } catch (error) {
    if (error instanceof DerError) throw invalid(error.message, error);
    throw error;
  }
}

function publicKeyInfoIn(info: Buffer): Buffer {
  const parts = new DerReader(info);
  const version = parts.read('integer', 'version').content;
  if (!version.equals(version0)) throw new DerError('its version is not 1');
  parts.read('sequence', 'subject');
  const publicKey = parts.read('sequence', 'public key').whole;
  parts.read('attributes', 'attributes');
  parts.end('attributes');
  if (!isP256Info(publicKey)) throw new DerError('its key is not a P-256 key, uncompressed');
  return publicKey;
}

function bitsOf(content: Buffer): Buffer {
  if (content[0] !== 0) throw new DerError('its signature has bits that are not used');
  return content.subarray(1);
}

function isP256Info(info: Buffer): boolean {
  const header = info.subarray(0, p256InfoHeader.length);
  return info.length === p256InfoBytes && header.equals(p256InfoHeader);
}

function isSignedBy(publicKey: Buffer, info: Buffer, signature: Buffer): boolean {
  return verify('sha256', info, keyOf(publicKey), signature);
}

function keyOf(publicKey: Buffer): KeyObject {
  try {
    return createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
  } catch (error) {
    throw invalid('its key is not a point of the curve P-256', error);
  }
}

function invalid(reason: string, cause?: unknown): WaybillError {
  return new WaybillError({ code: 'CERTIFICATE_REQUEST_INVALID', reason }, { cause });
}
