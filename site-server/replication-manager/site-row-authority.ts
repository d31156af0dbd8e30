import type { SiteDefinition } from '../../shared/domain/site.ts';
import { type SiteTree, siteCountMax, sitesBelowMax } from '../../shared/domain/site-tree.ts';

/** A row of "sites" as a site below has written it. */
export interface SiteRow {
  /** Who wrote it. */
  readonly origin: string;
  readonly siteCode: string;
  /** Undefined: deleted. */
  readonly definition: SiteDefinition | undefined;
}

/**
 * Why a site below this one may not have written a row of "sites": it may say only of sites below
 * itself what they are, and leaves them there. Undefined when it may.
 *
 * @param tree with what else the message says that was taken
 */
export function siteRowProblem(tree: SiteTree, row: SiteRow): string | undefined {
  const { origin, siteCode, definition } = row;
  const isKnown = tree.get(siteCode) !== undefined;
  if (siteCode === origin || (isKnown && !tree.isUnder(siteCode, origin))) {
    return `only a site above ${siteCode} may write it; ${origin} is none`;
  }
  if (!definition) return undefined;
  if (!tree.isUnder(definition.parentSiteCode, origin)) {
    return `site ${origin} may put a site only below itself`;
  }
  const expected = tree.problemOf(definition);
  if (expected !== undefined) return `expected ${expected}`;
  return isKnown ? undefined : roomProblem(tree, row);
}

/** Each site keeps all of them in memory, and where it stands with each; and none may use up those of the others. */
function roomProblem(tree: SiteTree, { origin }: SiteRow): string | undefined {
  if (tree.size >= siteCountMax) return `there may be ${siteCountMax} sites`;
  const isTooMany = tree.countBelow(origin) >= sitesBelowMax;
  return isTooMany ? `site ${origin} may have ${sitesBelowMax} sites below itself` : undefined;
}

/**
 * Whether a site that is not known and was refused is to be gone where it was defined, too: nobody else defines it. One
 * that was put elsewhere may have been defined there just before, and nobody would say that again.
 */
export function isToBeGone(tree: SiteTree, { origin, definition }: SiteRow): boolean {
  return definition !== undefined && tree.isUnder(definition.parentSiteCode, origin);
}
