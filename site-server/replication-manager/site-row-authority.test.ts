import assert from 'node:assert/strict';
import { siteCountMax } from '../../shared/domain/site-tree.ts';
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
      const problem = siteRowProblem(tree, { origin, siteCode, definition, rowsBefore: 0 });
      assert.equal(problem === undefined, mayWrite, problem);
    });
  }

  it('takes no more sites than there may be', () => {
    const definition = testSite('S12', 'secondary', 'PS1');
    const ask = (rowsBefore: number) =>
      siteRowProblem(tree, { origin: 'PS1', siteCode: 'S12', definition, rowsBefore });
    assert.equal(ask(siteCountMax - tree.size - 1), undefined);
    assert.match(ask(siteCountMax - tree.size) ?? '', /may be 500 sites/);
  });

  it('takes the deletion of a site below the writer only', () => {
    const deletion = (origin: string, siteCode: string) =>
      siteRowProblem(tree, { origin, siteCode, definition: undefined, rowsBefore: 0 });
    assert.equal(deletion('PS1', 'S11'), undefined);
    assert.ok(deletion('PS1', 'S21') && deletion('PS1', 'PS1') && deletion('S11', 'PS1'));
  });
});
