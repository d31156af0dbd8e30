import { sign } from 'node:crypto';

/** What the key of an old certificate signs, so that the signature is good for nothing else. */
export function renewalProofOf(certificateRequest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('waybill renewal 1'), certificateRequest]);
}

/** The proof that somebody has the key of the certificate that is to be followed: ECDSA, DER. */
export function signRenewal(keyPem: string | Buffer, certificateRequest: Uint8Array): Buffer {
  return sign('sha256', renewalProofOf(certificateRequest), keyPem);
}
