import type { SiteDefinition } from '../../shared/domain/site.ts';
import { type SiteTree, siteCountMax } from '../../shared/domain/site-tree.ts';

/** A row of "sites" as a site below has written it. */
export interface SiteRow {
  /** Who wrote it. */
  readonly origin: string;
  readonly siteCode: string;
  /** Undefined: deleted. */
  readonly definition: SiteDefinition | undefined;
  /** Rows of the same message that stand before it. */
  readonly rowsBefore: number;
}

/**
 * Why a site below this one may not have written a row of "sites": it may say only of sites below
 * itself what they are, and leaves them there. Undefined when it may.
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
  // Each site keeps all of them in memory, and where it stands with each.
  const isTooMany = !isKnown && tree.size + row.rowsBefore >= siteCountMax;
  if (isTooMany) return `there may be ${siteCountMax} sites`;
  const expected = tree.problemOf(definition);
  return expected && `expected ${expected}`;
}
