import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';

/** Something that belongs to a site, and what is about to be done to it. */
export interface OwnedThing {
  /** The field of the request that names it. */
  readonly field: string;
  /** Such as "a distribution point", and its name. */
  readonly what: string;
  readonly name: string;
  readonly siteCode: string;
}

/**
 * What something is, and that it is no more, is said at its own site or above it: from elsewhere no site
 * would take it (docs/trust.md, 7).
 *
 * @throws REQUEST_INVALID naming the sites to ask
 */
export function requireOwnerSay(
  { own, tree }: Pick<SiteDirectory, 'own' | 'tree'>,
  { field, what, name, siteCode }: OwnedThing,
): void {
  // What is left of a site that is gone, or not heard of yet, has nobody else to ask.
  const isKnown = tree.get(siteCode) !== undefined;
  if (!own.parent || !isKnown || tree.isUnder(siteCode, own.siteCode)) return;
  const expected = `${what} of site ${own.siteCode} or of one below it, for this; ask site ${tree.wayUp(siteCode).join(' or ')}`;
  throw requestInvalid(field, { expected, actual: `${name} of site ${siteCode}` });
}
