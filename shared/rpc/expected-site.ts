import type { PeerIdentity } from '../domain/peer-identity.ts';

/** Which peer may answer where a site is asked, and in words. */
export interface ExpectedSite {
  readonly expected: (peer: PeerIdentity) => boolean;
  readonly expectedText: string;
}

/** That very site. */
export function expectedSite(siteCode: string): ExpectedSite {
  const expected = (peer: PeerIdentity) => peer.kind === 'site' && peer.siteCode === siteCode;
  return { expected, expectedText: `site ${siteCode}` };
}

/** That site, where one is named; else any of the hierarchy: also one that was stolen, for whoever knows no revocations. */
export function expectedSiteIfNamed(siteCode: string | undefined): ExpectedSite {
  if (siteCode !== undefined) return expectedSite(siteCode);
  return { expected: ({ kind }) => kind === 'site', expectedText: 'a site server' };
}
