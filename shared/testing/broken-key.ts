import { sign, X509Certificate } from 'node:crypto';
import { DerReader, derElement } from '../certificates/der.ts';

/**
 * The same certificate (DER) for a key that is no point of its curve, signed anew: it can be read, its key cannot.
 *
 * @param signingKey PEM
 */
export function withBrokenKey(certificate: Buffer, signingKey: string): Buffer {
  const { publicKey } = new X509Certificate(certificate);
  const info = publicKey.export({ type: 'spki', format: 'der' });
  const broken = Buffer.from(certificate);
  const lastAt = certificate.indexOf(info) + info.length - 1;
  broken.writeUInt8(broken.readUInt8(lastAt) ^ 1, lastAt);
  const parts = new DerReader(new DerReader(broken).read('sequence', 'certificate').content);
  const signed = parts.read('sequence', 'what is signed').whole;
  const algorithm = parts.read('sequence', 'algorithm').whole;
  const signature = Buffer.concat([Buffer.alloc(1), sign('sha256', signed, signingKey)]);
  return derElement('sequence', signed, algorithm, derElement('bitString', signature));
}
