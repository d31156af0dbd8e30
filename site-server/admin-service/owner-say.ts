import { WaybillError } from '../../shared/domain/errors.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';

/**
 * What something is, and that it is no more, is said at its own site or above it: from elsewhere no site
 * would take it (docs/trust.md, 7).
 *
 * @param owned the name of a DP or a package, and the site it is of
 * @throws SITE_HAS_NO_SAY naming that site, where `waybill` asks then
 */
export function requireOwnerSay(
  { own, tree }: Pick<SiteDirectory, 'own' | 'tree'>,
  { name, siteCode }: { readonly name: string; readonly siteCode: string },
): void {
  // What is left of a site that is gone, or not heard of yet, has nobody else to ask.
  const isKnown = tree.get(siteCode) !== undefined;
  if (!own.parent || !isKnown || tree.isUnder(siteCode, own.siteCode)) return;
  const askedSiteCode = own.siteCode;
  throw new WaybillError({ code: 'SITE_HAS_NO_SAY', name, siteCode, askedSiteCode });
}
