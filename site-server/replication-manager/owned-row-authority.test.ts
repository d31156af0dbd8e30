import assert from 'node:assert/strict';
import { toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import { keptRow, ownedRowProblem, raisedRow } from './owned-row-authority.ts';
import { testPackage } from './testing/random-edits.ts';
import { testTree } from './testing/test-sites.ts';

const tree = testTree();

const point = (siteCode: string, changes = {}) => ({
  ...{ dpId: 'DP1', address: 'dp1:1', kind: 'standard', description: '', siteCode },
  ...changes,
});
const properties = { name: 'Office', priority: 2, programs: [] };
const definition = (changes = {}) => ({
  ...{ packageId: 'PS200001', sourceSiteCode: 'PS2', properties, directories: ['/srv/office'] },
  ...changes,
});
const program = { name: 'Install', commandLine: 'evil' };

describe('who may change a row that belongs to a site (SEC-1)', () => {
  for (const [what, origin, before, value, mayWrite] of [
    ['its own DP', 'PS1', point('PS1'), undefined, true],
    ['the address of a DP below it', 'PS1', point('S11'), point('S11', { address: 'x:1' }), true],
    ['a DP that stands nowhere yet', 'PS1', undefined, point('PS2'), true],
    ['what a DP elsewhere is set to', 'PS1', point('PS2'), point('PS2', { kind: 'pull' }), true],
    ['the deletion of a DP elsewhere', 'PS1', point('PS2'), undefined, false],
    ['a DP elsewhere as its own', 'PS1', point('PS2'), point('PS1'), false],
    ['another address', 'PS1', point('PS2'), point('PS2', { address: 'evil:1' }), false],
    ['the deletion of a DP above it', 'S11', point('PS1'), undefined, false],
    ['its own DP, below itself', 'PS1', point('PS1'), point('S11'), true],
    ['its own DP, given away', 'PS1', point('PS1'), point('PS2'), false],
  ] as const) {
    it(`${mayWrite ? 'takes' : 'refuses'} ${what}`, () => {
      const name = { table: 'hierarchy-distribution-points', key: 'DP1' } as const;
      const problem = ownedRowProblem(tree, { name, origin, before, value });
      assert.equal(problem === undefined, mayWrite, problem);
    });
  }

  for (const [what, origin, value, mayWrite] of [
    ['its own package', 'PS2', definition({ directories: ['/srv/other'] }), true],
    [
      'the priority of a package elsewhere',
      'PS1',
      definition({ properties: { ...properties, priority: 1 } }),
      true,
    ],
    [
      'another directory to read there',
      'PS1',
      definition({ directories: ['/etc/waybill'] }),
      false,
    ],
    [
      'another program to run',
      'PS1',
      definition({ properties: { ...properties, programs: [program] } }),
      false,
    ],
    ['its deletion', 'PS1', undefined, false],
  ] as const) {
    it(`${mayWrite ? 'takes' : 'refuses'} ${what}`, () => {
      const name = { table: 'package-definitions', key: 'PS200001' } as const;
      const row = { name, origin, before: definition(), value };
      const problem = ownedRowProblem(tree, row);
      assert.equal(problem === undefined, mayWrite, problem);
    });
  }

  const early = { ...definition(), packageId: 'S1200001', sourceSiteCode: 'S12' };
  const otherwise = { ...early, directories: ['/etc/waybill'] };
  for (const [what, facts, mayWrite] of [
    ['another directory, of that site', { origin: 'S12', heldBy: 'PS1' }, true],
    ['another directory, of who has said it', { origin: 'PS1', heldBy: 'PS1' }, true],
    ['another directory, after its own word', { origin: 'S11', heldBy: 'S12' }, false],
    ['its deletion, after its own word', { origin: 'S11', heldBy: 'S12', value: undefined }, false],
    [
      'another priority',
      {
        ...{ origin: 'S11', heldBy: 'S12' },
        value: { ...early, properties: { ...properties, priority: 1 } },
      },
      true,
    ],
    [
      'its deletion, of one that was taken out',
      { origin: 'PS1', heldBy: 'S12', isOwnerGone: true, value: undefined },
      true,
    ],
  ] as const) {
    it(`${mayWrite ? 'takes' : 'refuses'} ${what}, where its site is not known yet`, () => {
      const name = { table: 'package-definitions', key: 'S1200001' } as const;
      const problem = ownedRowProblem(tree, { name, before: early, value: otherwise, ...facts });
      assert.equal(problem === undefined, mayWrite, problem);
    });
  }

  const published = testPackage('PS200001', 'Office');
  const same = toDefinition(published);
  const running = { ...same, properties: { ...same.properties, programs: [program] } };
  for (const [what, origin, key, value, said, mayWrite] of [
    ['its own new package', 'PS2', 'PS200001', running, undefined, true],
    ['a package of a site below it', 'PS1', 'S1100001', running, undefined, true],
    ['a new package of a site elsewhere', 'PS1', 'PS200001', same, undefined, false],
    ['a new package of the site above it', 'S11', 'PS100001', same, undefined, false],
    ['a lost row as it was published', 'PS1', 'PS200001', same, published, true],
    ['a lost row with another program', 'PS1', 'PS200001', running, published, false],
    ['a lost row with another directory', 'PS1', 'PS200001', definition(), published, false],
    ['the deletion of a lost row', 'PS1', 'PS200001', undefined, published, true],
    ['a package of a site not heard of yet', 'PS1', 'S1200001', running, undefined, true],
  ] as const) {
    it(`${mayWrite ? 'takes' : 'refuses'} ${what}, where none is`, () => {
      const name = { table: 'package-definitions', key } as const;
      const row = { name, origin, before: undefined, value, published: said };
      const problem = ownedRowProblem(tree, row);
      assert.equal(problem === undefined, mayWrite, problem);
    });
  }

  const held = (siteCode: string, more = {}) => ({
    ...{ changedAt: { wallMs: 9, counter: 0, siteCode }, sequence: 1, isDeleted: false },
    ...more,
  });
  const ofNothing = { isDeleted: true, isOfNothing: true } as const;
  const packageName = { table: 'package-definitions', key: 'PS200001' } as const;
  const pointName = { table: 'hierarchy-distribution-points', key: 'DP1' } as const;
  const ofPs1 = { table: 'package-definitions', key: 'PS100001' } as const;
  const set = definition({ properties: { ...properties, priority: 1 } });
  const moved = definition({ directories: ['/srv/new'] });

  for (const [what, row, expected] of [
    [
      'a new directory of its source site, beside what was set elsewhere',
      { name: packageName, origin: 'PS2', before: set, value: moved, held: held('PS1') },
      { value: { ...set, directories: ['/srv/new'] } },
    ],
    [
      'its deletion',
      { name: packageName, origin: 'PS2', before: set, value: undefined, held: held('PS1') },
      { value: undefined },
    ],
    [
      'a new package, after one that was made up elsewhere',
      {
        ...{ name: packageName, origin: 'PS2', before: undefined, value: moved },
        held: held('CAS', ofNothing),
      },
      { value: moved },
    ],
    [
      'a package that a site without a say says is deleted',
      {
        ...{ name: packageName, origin: 'PS2', before: undefined, value: moved },
        held: held('PS1', { isDeleted: true }),
      },
      { value: moved },
    ],
    [
      'nothing of a DP, which may be of another site meanwhile',
      {
        ...{ name: pointName, origin: 'PS2', before: point('PS2', { kind: 'pull' }) },
        ...{ value: point('PS2', { address: 'new:1' }), held: held('PS1') },
      },
      undefined,
    ],
    [
      'no new directory that is earlier than what a site with a say has said',
      { name: packageName, origin: 'PS2', before: set, value: moved, held: held('CAS') },
      undefined,
    ],
    [
      'nothing that is earlier and changes nothing of what it is',
      { name: packageName, origin: 'PS2', before: set, value: definition(), held: held('PS1') },
      undefined,
    ],
    [
      'nothing of a site without a say',
      { name: packageName, origin: 'PS1', before: set, value: moved, held: held('PS1') },
      undefined,
    ],
    [
      'nothing that is renumbered, for it may be outdated: what is here goes back',
      {
        ...{ name: packageName, origin: 'PS2', before: set, value: moved, held: held('PS1') },
        isRenumbered: true,
      },
      { value: set, isGivenBack: true },
    ],
    [
      'nothing that is renumbered against what a site with a say has said, which comes by itself',
      {
        ...{ name: packageName, origin: 'PS2', before: set, value: moved, held: held('CAS') },
        isRenumbered: true,
      },
      undefined,
    ],
    [
      'what is here of a renumbered package, which was said below its writer and not taken there',
      {
        ...{ name: ofPs1, origin: 'PS1', before: moved, value: set, held: held('S11') },
        isRenumbered: true,
      },
      { value: moved, isGivenBack: true },
    ],
    [
      'the same of a DP',
      {
        ...{ name: pointName, origin: 'PS1', before: point('PS1', { address: 'new:1' }) },
        ...{ value: point('PS1'), held: held('S11'), isRenumbered: true },
      },
      { value: point('PS1', { address: 'new:1' }), isGivenBack: true },
    ],
    [
      'nothing of a renumbered package that its writer takes from the site below that set it',
      {
        ...{ name: ofPs1, origin: 'PS1', before: set, value: definition(), held: held('S11') },
        isRenumbered: true,
      },
      undefined,
    ],
    [
      'a renumbered package where nothing is',
      {
        ...{ name: packageName, origin: 'PS2', before: undefined, value: moved },
        ...{ held: held('CAS', ofNothing), isRenumbered: true },
      },
      { value: moved },
    ],
    [
      'nothing that was deleted by a site with a say',
      {
        ...{ name: packageName, origin: 'PS2', before: undefined, value: moved },
        held: held('CAS', { isDeleted: true }),
      },
      undefined,
    ],
  ] as const) {
    it(`raises ${what}`, () => {
      assert.deepEqual(raisedRow(tree, row), expected);
    });
  }

  for (const [what, row, expected] of [
    [
      'another directory, and takes what it sets',
      { origin: 'PS1', before: moved, value: set, held: held('PS2') },
      { value: { ...set, directories: ['/srv/new'] } },
    ],
    [
      'a package deleted here',
      { before: undefined, value: set, held: held('PS2', { isDeleted: true }) },
      { value: undefined },
    ],
    ['its deletion', { before: moved, value: undefined, held: held('PS2') }, { value: moved }],
    ['the same directory', { before: definition(), value: set, held: held('PS2') }, undefined],
    [
      'a site with a say',
      { origin: 'CAS', before: moved, value: set, held: held('PS2') },
      undefined,
    ],
    [
      'another directory, when what is here is renumbered',
      { before: moved, value: set, held: held('PS2', { isRenumbered: true }) },
      undefined,
    ],
    ['what no site with a say said', { before: moved, value: set, held: held('PS1') }, undefined],
  ] as const) {
    it(`${expected ? 'keeps' : 'gives up'} what is here against a later word of ${what}`, () => {
      const { before, value } = row;
      const origin = 'origin' in row ? row.origin : 'PS1';
      const ranked = { name: packageName, origin, before, value, held: row.held };
      assert.deepEqual(keptRow(tree, ranked), expected);
    });
  }

  it('lets go what is of no site that is known: it may have been taken out just before', () => {
    const name = { table: 'hierarchy-distribution-points', key: 'DP1' } as const;
    const row = { name, origin: 'PS1', before: point('S12'), value: undefined };
    assert.equal(ownedRowProblem(tree, row), undefined);
  });

  it('has no word about other tables', () => {
    const name = { table: 'package-assignments', key: 'PS200001/DP1' } as const;
    const before = {};
    assert.equal(
      ownedRowProblem(tree, { name, origin: 'PS1', before, value: undefined }),
      undefined,
    );
  });
});
