import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import type { CallerGroup } from './call-policy.ts';

/**
 * What an agent knows of whose certificate counts, and as what, besides that its hierarchy's CA stands behind
 * it (docs/trust.md, 1 and 5). Asked at both ends of every connection: when it is made, at each call, and
 * whenever the answers may be others.
 */
export interface PeerTrust {
  /**
   * Why a certificate counts for nothing, in words that its holder may read: it was revoked, or its time
   * is over. Undefined when it counts.
   */
  refusalOf(peer: CertifiedPeer): string | undefined;
  /** Whether its voucher is heard here for somebody who calls as one of this group. */
  isVouchedHere(peer: CertifiedPeer, group: CallerGroup): boolean;
  /**
   * Tells of each moment at which somebody who counted may not count any more; of the mere passing of
   * time too, now and then.
   *
   * @returns what ends it
   */
  onChange(listener: () => void): () => void;
}
