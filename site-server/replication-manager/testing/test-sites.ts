import type { SiteDefinition, SiteKind } from '../../../shared/domain/site.ts';
import { SiteTree } from '../../../shared/domain/site-tree.ts';

/** A site as a row says it, at the top unless there is one above it. */
export function testSite(siteCode: string, kind: SiteKind, parentSiteCode = ''): SiteDefinition {
  return { siteCode, kind, parentSiteCode, address: '', description: '' };
}

/** Two primary sites below a central one, each with a secondary below it: PS1 has S11, PS2 has S21. */
export function testTree(): SiteTree {
  return new SiteTree([
    testSite('CAS', 'central-administration'),
    testSite('PS1', 'primary', 'CAS'),
    testSite('PS2', 'primary', 'CAS'),
    testSite('S11', 'secondary', 'PS1'),
    testSite('S21', 'secondary', 'PS2'),
  ]);
}
