import type { SigningKey, SiteIdentity } from '../domain/site.ts';

/** Says what the bytes are, so that a signature over them is good for nothing else. */
const heading = 'waybill site identity 1';

/**
 * The bytes of a site identity that its signature is over: the heading, then all of its fields but
 * the signature, in this order: site code, address, agent version, number of keys, for each key its
 * ID, public key, creation and retirement, then the time of signing and the certificate. A text is
 * its length in bytes (4, big endian) and its UTF-8 bytes; a number is 8 bytes, big endian.
 */
export function identityText(identity: Omit<SiteIdentity, 'signature'>): Buffer {
  const { siteCode, address, agentVersion, signingKeys, signedAtMs, certificate } = identity;
  return Buffer.concat([
    ...[heading, siteCode, address, agentVersion].map(textBytes),
    numberBytes(signingKeys.length),
    ...signingKeys.map(keyBytes),
    numberBytes(signedAtMs),
    textBytes(certificate),
  ]);
}

function keyBytes({ keyId, publicKey, createdAtMs, retiredAtMs }: SigningKey): Buffer {
  const texts = [keyId, publicKey].map(textBytes);
  return Buffer.concat([...texts, numberBytes(createdAtMs), numberBytes(retiredAtMs)]);
}

function textBytes(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
