import assert from 'node:assert/strict';
import type { SiteDefinition } from '../../shared/domain/site.ts';
import { SiteTree, siteCountMax, sitesBelowMax } from '../../shared/domain/site-tree.ts';
import { siteRowProblem } from './site-row-authority.ts';
import { testSite, testTree } from './testing/test-sites.ts';

const tree = testTree();

describe('who may say what a site is (SEC-1)', () => {
  for (const [what, origin, definition, mayWrite] of [
    ['a site below the writer', 'PS1', testSite('S11', 'secondary', 'PS1'), true],
    ['a new site below the writer', 'PS1', testSite('S12', 'secondary', 'PS1'), true],
    ['the writer itself', 'PS1', testSite('PS1', 'primary', ''), false],
    ['the site above', 'PS1', testSite('CAS', 'primary', ''), false],
    ['a site beside the writer', 'PS1', testSite('PS2', 'primary', 'CAS'), false],
    ['a site beside it, to take it over', 'PS1', testSite('S21', 'secondary', 'PS1'), false],
    ['a site given away', 'PS1', testSite('S11', 'secondary', 'PS2'), false],
    ['a new site elsewhere', 'PS1', testSite('S23', 'secondary', 'PS2'), false],
    ['a new site at the top', 'PS1', testSite('XXX', 'primary', ''), false],
    ['a new site of a kind that cannot be there', 'PS1', testSite('PS3', 'primary', 'PS1'), false],
  ] as const) {
    it(`${mayWrite ? 'takes' : 'refuses'} ${what}`, () => {
      const { siteCode } = definition;
      const problem = siteRowProblem(tree, { origin, siteCode, definition });
      assert.equal(problem === undefined, mayWrite, problem);
    });
  }

  const manySites = (parent: string, count: number) =>
    Array.from({ length: count }, (_, at) => {
      const siteCode = `${parent[2]}${at.toString(36).padStart(2, '0')}`;
      return testSite(siteCode.toUpperCase(), 'secondary', parent);
    });
  const ask = (all: SiteTree, before: readonly SiteDefinition[], origin = 'PS1') => {
    const siteCode = `X${origin.slice(1)}`;
    const definition = testSite(siteCode, 'secondary', origin);
    const then = before.reduce((sum, one) => sum.with(one.siteCode, one), all);
    return siteRowProblem(then, { origin, siteCode, definition });
  };

  it('takes no more sites than there may be', () => {
    const full = new SiteTree([
      ...tree.list(),
      ...[...manySites('PS1', 240), ...manySites('PS2', siteCountMax - tree.size - 241)],
    ]);
    assert.equal(ask(full, []), undefined);
    assert.match(ask(full, [testSite('NEW', 'secondary', 'PS1')]) ?? '', /may be 500 sites/);
    assert.equal(ask(full, [testSite('S11', 'secondary', 'PS1')]), undefined, 'one that is known');
  });

  it('takes no more of one site than one may have, so that none uses up those of others', () => {
    const many = new SiteTree([...tree.list(), ...manySites('PS1', sitesBelowMax - 2)]);
    assert.equal(ask(many, []), undefined);
    assert.match(ask(many, [testSite('NEW', 'secondary', 'PS1')]) ?? '', /250 sites below itself/);
    const full = new SiteTree([...tree.list(), ...manySites('PS1', sitesBelowMax)]);
    assert.match(ask(full, []) ?? '', /250 sites below itself/);
    assert.equal(ask(full, [], 'PS2'), undefined);
    const known = { origin: 'PS1', siteCode: 'S11' };
    const definition = testSite('S11', 'secondary', 'PS1');
    assert.equal(siteRowProblem(full, { ...known, definition }), undefined, 'one that is known');
  });

  it('counts what there is once, however many new ones a message says', () => {
    let readCount = 0;
    const counted = (site: SiteDefinition): SiteDefinition => ({
      ...site,
      get parentSiteCode() {
        readCount += 1;
        return site.parentSiteCode;
      },
    });
    const full = new SiteTree([...tree.list(), ...manySites('PS1', sitesBelowMax).map(counted)]);
    for (let at = 0; at < 1_000; at++) assert.ok(ask(full, []));
    assert.equal(readCount, sitesBelowMax);
  });

  it('takes the deletion of a site below the writer only', () => {
    const deletion = (origin: string, siteCode: string) =>
      siteRowProblem(tree, { origin, siteCode, definition: undefined });
    assert.equal(deletion('PS1', 'S11'), undefined);
    assert.ok(deletion('PS1', 'S21') && deletion('PS1', 'PS1') && deletion('S11', 'PS1'));
  });
});
