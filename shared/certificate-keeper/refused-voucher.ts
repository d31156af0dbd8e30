import type { X509Certificate } from 'node:crypto';
import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import {
  authoritySiteOf,
  type CertificateChain,
  lifeOf,
  peerOfChain,
} from '../rpc/certificate-trust.ts';

/** Why a certificate is nobody's, as the end of a sentence; undefined when it is not revoked. */
export type RevocationOf = (peer: CertifiedPeer) => string | undefined;

/**
 * Why whoever renews at a site goes neither by what it shows nor by what it gives, as the end of a sentence: it was
 * revoked, as far as is known here; or its authority is one that the site had before it was enrolled again. With that
 * one's key a thief would put certificates that nobody takes in the place of those that count.
 *
 * @param chain of one that a root stands behind; of any other nothing is said
 */
export function refusalOfVoucher(
  chain: CertificateChain,
  known: {
    /** The site authority that issued the certificate which is to be followed; none: a root has. */
    readonly heldIssuer: X509Certificate | undefined;
    readonly roots: readonly X509Certificate[];
    /** Absent for who is told of no revocations. */
    readonly revocationOf?: RevocationOf | undefined;
  },
): string | undefined {
  const { heldIssuer, roots, revocationOf } = known;
  const peer = peerOfChain(chain, roots);
  if (!peer) return undefined;
  const [, issuer] = chain;
  const isEarlier = peer.voucher !== 'root' && isEarlierAuthority(issuer, heldIssuer);
  return revocationOf?.(peer) ?? (isEarlier ? replaced : undefined);
}

/** Signed again, also by another root, the authority of a site keeps its key; enrolled again it has another one, later. */
function isEarlierAuthority(
  issuer: X509Certificate | undefined,
  held: X509Certificate | undefined,
): boolean {
  if (!issuer || !held || authoritySiteOf(issuer) !== authoritySiteOf(held)) return false;
  const isSameKey = issuer.publicKey.equals(held.publicKey);
  return !isSameKey && lifeOf(issuer).notBeforeMs < lifeOf(held).notBeforeMs;
}

const replaced = 'its site has another authority since, by which the certificate here was issued';
