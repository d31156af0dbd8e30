import type { PeerLimits } from './peer-limits.ts';

/** Bytes of messages that have come of one peer and no method has taken yet. */
export interface Holding<Peer> {
  readonly peer: Peer;
  readonly isSite: boolean;
  readonly bytes: number;
}

/** A peer whose connections end for what it holds, and the limit in words. */
export interface HeldTooMuch<Peer> {
  readonly peer: Peer;
  readonly limit: string;
  /** It is over its own limit, and does not only give way for all. */
  readonly isAtFault: boolean;
}

type HeldLimits = Pick<
  PeerLimits,
  'heldBytesOfSiteMax' | 'heldBytesMax' | 'heldBytesOfAllSitesMax' | 'heldBytesOfAllOthersMax'
>;

/**
 * Whose connections end, so that neither one peer nor a crowd of them, each within its limit, takes all
 * memory. Sites and others give way among themselves: neither can have the other cut off.
 */
export function whoHoldsTooMuch<Peer>(
  holdings: readonly Holding<Peer>[],
  limits: HeldLimits,
): HeldTooMuch<Peer>[] {
  const { heldBytesOfSiteMax, heldBytesMax } = limits;
  const { heldBytesOfAllSitesMax, heldBytesOfAllOthersMax } = limits;
  const ofSites = holdings.filter(({ isSite }) => isSite);
  const ofOthers = holdings.filter(({ isSite }) => !isSite);
  return [
    ...tooMuchOf(ofSites, { eachMax: heldBytesOfSiteMax, allMax: heldBytesOfAllSitesMax }),
    ...tooMuchOf(ofOthers, { eachMax: heldBytesMax, allMax: heldBytesOfAllOthersMax }),
  ];
}

/** Who is over his own limit, and then who holds most until the rest is within that of all. */
function tooMuchOf<Peer>(
  holdings: readonly Holding<Peer>[],
  { eachMax, allMax }: { readonly eachMax: number; readonly allMax: number },
): HeldTooMuch<Peer>[] {
  const found: HeldTooMuch<Peer>[] = [];
  let allBytes = holdings.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { peer, bytes } of holdings.toSorted((a, b) => b.bytes - a.bytes)) {
    const isAtFault = bytes > eachMax;
    if (!isAtFault && allBytes <= allMax) break;
    const limit = isAtFault
      ? `${eachMax} bytes of messages that no method has taken`
      : `${allMax} bytes of messages of all its kind that no method has taken; it held most, ${bytes}`;
    found.push({ peer, limit, isAtFault });
    allBytes -= bytes;
  }
  return found;
}
