import assert from 'node:assert/strict';
import type { SiteDefinition, SiteKind } from './site.ts';
import { SiteTree } from './site-tree.ts';

function site(siteCode: string, kind: SiteKind, parentSiteCode = ''): SiteDefinition {
  return { siteCode, kind, parentSiteCode, address: `${siteCode}:1`, description: '' };
}

const tree = new SiteTree([
  site('CS1', 'central-administration'),
  site('PS1', 'primary', 'CS1'),
  site('PS2', 'primary', 'CS1'),
  site('SS1', 'secondary', 'PS1'),
]);

describe('site tree (ROLE-1)', () => {
  it('knows parents, children and sides', () => {
    assert.equal(tree.parentOf('SS1'), 'PS1');
    assert.equal(tree.parentOf('CS1'), undefined);
    assert.deepEqual(tree.childrenOf('CS1'), ['PS1', 'PS2']);
    assert.ok(tree.isUnder('SS1', 'CS1') && tree.isUnder('PS1', 'PS1'));
    assert.ok(!tree.isUnder('PS2', 'PS1') && !tree.isUnder('CS1', 'PS1'));
  });

  for (const [from, to, expected] of [
    ['CS1', 'SS1', 'PS1'],
    ['PS1', 'SS1', 'SS1'],
    ['SS1', 'PS2', 'PS1'],
    ['PS1', 'PS2', 'CS1'],
    ['PS2', 'CS1', 'CS1'],
    ['PS1', 'PS1', undefined],
    ['PS1', 'XXX', undefined],
  ] as const) {
    it(`goes from ${from} to ${to} by way of ${expected}`, () => {
      assert.equal(tree.neighbourTowards(from, to), expected);
    });
  }

  it('knows in which branch a site stands, once it knows its whole way up', () => {
    const orphans = [site('SS8', 'secondary', 'PS8'), site('CCC', 'primary', 'CCC')];
    const grown = new SiteTree([...tree.list(), ...orphans]);
    for (const [siteCode, branch] of [
      ['CS1', 'CS1'],
      ['PS1', 'PS1'],
      ['SS1', 'PS1'],
      ['PS2', 'PS2'],
      ['XXX', undefined],
      ['SS8', undefined],
      ['CCC', undefined],
    ] as const) {
      assert.equal(grown.branchOf(siteCode), branch, siteCode);
    }
  });

  it('ends a way up that goes in a circle', () => {
    const circle = new SiteTree([site('AAA', 'primary', 'BBB'), site('BBB', 'primary', 'AAA')]);
    assert.equal(circle.wayUp('AAA').length, 3);
  });

  for (const [definition, problem] of [
    [site('PS3', 'primary', 'CS1'), undefined],
    [site('PS3', 'primary'), undefined],
    [site('SS3', 'secondary', 'PS2'), undefined],
    [site('SS3', 'secondary'), /a parent/],
    [
      site('SS3', 'secondary', 'CS1'),
      /primary site, which CS1, a central-administration site, is not/,
    ],
    [
      site('PS1', 'primary', 'SS1'),
      /central-administration site, which SS1, a secondary site, is not/,
    ],
    [site('CS2', 'central-administration', 'CS1'), /no parent/],
    [site('PS3', 'primary', 'CS9'), /CS9 is not/],
  ] as const) {
    const { siteCode, kind, parentSiteCode } = definition;
    it(`${problem ? 'refuses' : 'takes'} ${kind} ${siteCode} below "${parentSiteCode}"`, () => {
      const actual = tree.problemOf(definition);
      if (problem) assert.match(actual ?? '', problem);
      else assert.equal(actual, undefined);
    });
  }
});
