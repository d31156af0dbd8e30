// Node breaks this module for the whole process when a certificate is read by toLegacyObject() first.
import 'node:tls';
import { type CertifiedPeer, mayVouch, type Voucher } from '../domain/certificate-authority.ts';
import { fromIdentityUri, type PeerIdentity } from '../domain/peer-identity.ts';

/**
 * One name of a subject alternative name as Node prints it: `URI:waybill://dp/PS1DP1`. Node quotes
 * as JSON every value in which a comma, a quote or a control character could feign another name.
 */
const namePattern = /(?:^|, )([^:,"]+):("(?:[^"\\]|\\.)*"|[^,"]*)/y;

/**
 * The names of a subject alternative name, by type; undefined when the text does not parse to its
 * end, so that nothing is ever read out of a half-understood certificate.
 *
 * @see https://nodejs.org/api/crypto.html#x509subjectaltname
 */
function namesOf(subjectAltName: string): { type: string; value: string }[] | undefined {
  const names = [];
  namePattern.lastIndex = 0;
  let parsedTo = 0;
  for (;;) {
    const match = namePattern.exec(subjectAltName);
    if (!match) return parsedTo === subjectAltName.length ? names : undefined;
    parsedTo = namePattern.lastIndex;
    names.push({ type: match[1] ?? '', value: match[2] ?? '' });
  }
}

/**
 * The identity a certificate speaks for: its one `waybill:` URI. Undefined when it has none, more
 * than one, or one that is not well formed: such a certificate speaks for nobody.
 */
export function identityOfSubjectAltName(
  subjectAltName: string | undefined,
): PeerIdentity | undefined {
  const uris = (namesOf(subjectAltName ?? '') ?? [])
    .filter((name) => name.type === 'URI')
    .map((name) => name.value)
    // A quoted URI holds characters that none of our identities has; it stays as it is and fails.
    .filter((uri) => uri.replace(/^"/, '').startsWith('waybill:'));
  return uris.length === 1 && uris[0] !== undefined ? fromIdentityUri(uris[0]) : undefined;
}

/** What Node says of a certificate, as far as it is read here. */
export interface ShownCertificate {
  readonly subjectaltname?: string | undefined;
  readonly valid_from?: string;
  readonly valid_to?: string;
}

/**
 * Who a certificate speaks for by the word of who has signed it. Undefined when it speaks for nobody, or
 * when that one may not say so.
 */
export function certifiedPeerOf(
  certificate: ShownCertificate,
  voucher: Voucher,
): CertifiedPeer | undefined {
  const identity = identityOfSubjectAltName(certificate.subjectaltname);
  if (!identity || !mayVouch(voucher, identity)) return undefined;
  const notBeforeMs = Date.parse(certificate.valid_from ?? '');
  const notAfterMs = Date.parse(certificate.valid_to ?? '');
  return { identity, voucher, notBeforeMs, notAfterMs };
}
