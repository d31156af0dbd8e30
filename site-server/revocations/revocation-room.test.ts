import assert from 'node:assert/strict';
import { type Revocation, RevocationIndex } from '../../shared/domain/revocation.ts';
import type { SiteDefinition, SiteIdentity, SiteKind } from '../../shared/domain/site.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { RevocationRoom, type RevocationRoomConfig } from './revocation-room.ts';

function site(siteCode: string, kind: SiteKind, parentSiteCode = ''): SiteDefinition {
  return { siteCode, kind, parentSiteCode, address: '', description: '' };
}

const known = [
  site('CAS', 'central-administration'),
  ...['PS1', 'PS2', 'PS3'].map((siteCode) => site(siteCode, 'primary', 'CAS')),
  site('S11', 'secondary', 'PS1'),
  site('S12', 'secondary', 'PS1'),
];

describe('room of revocations (SEC-3)', () => {
  let tree: SiteTree;
  let index: RevocationIndex<Revocation>;
  let siteCode: string;
  let proven: Set<string>;
  let other: Partial<RevocationRoomConfig>;
  const config = { otherCountMax: 40, branchKeptMax: 60, branchesKeptMax: 1_000 };
  beforeEach(() => {
    tree = new SiteTree(known);
    index = new RevocationIndex();
    siteCode = 'PS1';
    proven = new Set();
    other = {};
  });

  /** How many of these a message brings here. */
  function taken(of: string, count: number, first = 0): number {
    const kept = {
      counts: index.counts,
      revokedAtMsOf: (one: Pick<Revocation, 'siteCode' | 'holder'>) => index.get(one)?.revokedAtMs,
    };
    const sites = {
      tree,
      identityOf: (code: string) =>
        proven.has(code) ? ({ siteCode: code } as SiteIdentity) : undefined,
    };
    const room = new RevocationRoom({ siteCode, sites, kept }, { ...config, ...other });
    let takenCount = 0;
    for (let at = first; at < first + count; at++) {
      const holder = `client/x${at}`;
      if (room.take({ siteCode: of, holder }) !== undefined) continue;
      index.put({ siteCode: of, holder, revokedAtMs: 1, reason: '', revokedBy: '' });
      takenCount += 1;
    }
    return takenCount;
  }
  /** Sites that a site makes below itself. */
  function madeUp(parent: string, count: number): string[] {
    const codes = Array.from({ length: count }, (_, at) => `${parent[2]}${at.toString(36)}`);
    const rows = codes.map((code) => site(code, 'secondary', parent));
    tree = new SiteTree([...tree.list(), ...rows]);
    return codes;
  }
  const takenOfAll = (codes: readonly string[], count: number) =>
    codes.reduce((sum, code) => sum + taken(code, count), 0);

  it('is no larger for a site, however many it has made below itself', () => {
    assert.equal(takenOfAll(madeUp('PS2', 100), 50), 60);
    assert.equal(taken('PS2', 50), 0);
    assert.equal(taken('PS3', 50), 40, 'as much as a site may have');
    assert.equal(taken('S11', 50), 40);
    assert.equal(taken('S12', 50), 20, 'what is left of its branch');
  });

  it('is its own for each site above this one, and without end for this one', () => {
    siteCode = 'S11';
    assert.equal(taken('S12', 50), 40);
    assert.equal(takenOfAll(madeUp('PS1', 5), 50), 20);
    assert.equal(taken('PS1', 50), 40);
    assert.equal(taken('CAS', 50), 40);
    assert.equal(taken('S11', 500), 500);
  });

  it('is one for all sites of which it is not known where they stand, until it is', () => {
    assert.equal(takenOfAll(['X01', 'X02', 'X03', 'X04'], 50), 60);
    assert.equal(taken('CAS', 50), 40, 'the neighbour that brings them keeps its own');
    tree = new SiteTree([...known, site('X01', 'secondary', 'PS2')]);
    assert.equal(taken('X03', 50), 40);
    assert.equal(taken('PS2', 50), 20, 'what X01 has counts for PS2 now');
  });

  it('is bounded over all branches, but for an equal part that nobody takes from another', () => {
    const primaries = Array.from({ length: 100 }, (_, at) => `Q${at.toString(36)}`);
    tree = new SiteTree([...known, ...primaries.map((code) => site(code, 'primary', 'CAS'))]);
    assert.equal(takenOfAll(primaries.slice(0, 25), 50), 1_000);
    // 103 branches, and those of which none is known.
    assert.equal(taken('PS3', 50), 9);
    assert.equal(takenOfAll(primaries.slice(25), 50), 75 * 9);
    assert.equal(taken('CAS', 50), 40, 'the sites above are not among them');
  });

  it('is bounded in a branch, but for an equal part that no site takes from another', () => {
    other = { branchKeptMax: 200 };
    const codes = madeUp('PS2', 100);
    proven = new Set([...codes.slice(0, 18), 'PS2']);
    assert.equal(takenOfAll(codes.slice(0, 5), 50), 200);
    assert.equal(taken('PS2', 50), 10, '19 of them have shown a certificate; the others are one');
    assert.equal(takenOfAll(codes.slice(5, 18), 50), 13 * 10);
    assert.equal(takenOfAll(codes.slice(18), 50), 10);
  });

  it('is not asked for what is here already', () => {
    assert.equal(taken('PS2', 40), 40);
    assert.equal(taken('PS2', 50, 20), 20);
  });
});
