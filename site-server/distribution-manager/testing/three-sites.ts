import { TestHierarchy } from './test-hierarchy.ts';
import type { TestSite } from './test-site.ts';

/** The hierarchy of the present test, see `TestHierarchy.openThree`: each test has its own. */
export let hierarchy: TestHierarchy;

/** Its top site, as it began. */
export let cs1: TestSite;

/** The sites below it, as they began: after `hierarchy.restart` ask the hierarchy. */
export let ps1: TestSite;
export let ps2: TestSite;

/** Each test of the suite that calls this begins with three sites, and ends with nothing left of them. */
export function openThreeSitesBeforeEach(): void {
  beforeEach(async () => {
    hierarchy = await TestHierarchy.openThree();
    cs1 = hierarchy.of('CS1').site;
    ps1 = hierarchy.of('PS1').site;
    ps2 = hierarchy.of('PS2').site;
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());
}
