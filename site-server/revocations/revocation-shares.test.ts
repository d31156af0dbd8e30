import assert from 'node:assert/strict';
import type { SiteDefinition, SiteKind } from '../../shared/domain/site.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { revocationShares } from './revocation-shares.ts';

function site(siteCode: string, kind: SiteKind, parentSiteCode = ''): SiteDefinition {
  return { siteCode, kind, parentSiteCode, address: '', description: '' };
}

const known = [
  site('CAS', 'central-administration'),
  ...['PS1', 'PS2', 'PS3'].map((siteCode) => site(siteCode, 'primary', 'CAS')),
  ...['S21', 'S22', 'S23'].map((siteCode) => site(siteCode, 'secondary', 'PS2')),
];
const config = { branchCountMax: 60, branchesCountMax: 150 };

/** What is heard at PS1 of so many of each. @param proven the sites that have shown a certificate */
function shares(counts: Record<string, number>, proven = known, madeUp: SiteDefinition[] = []) {
  const tree = new SiteTree([...known, ...madeUp]);
  const isProven = (code: string) => proven.some(({ siteCode }) => siteCode === code);
  const places = { siteCode: 'PS1', tree, isProven };
  return Object.fromEntries(revocationShares(new Map(Object.entries(counts)), places, config));
}

describe('shares of revocations (SEC-3)', () => {
  it('are all there is where there is room', () => {
    const few = { PS1: 500, CAS: 400, PS2: 20, S21: 40, PS3: 60 };
    assert.deepEqual(shares(few), few, 'of this site and those above it there is always room');
  });

  it('of a branch are equal, so that two of its sites do not silence another', () => {
    assert.deepEqual(shares({ S21: 40, S22: 40, S23: 5, PS2: 3 }), {
      ...{ PS2: 3, S23: 5, S21: 26, S22: 26 },
    });
    assert.deepEqual(shares({ S21: 40, S22: 40, S23: 40, PS2: 40 }), {
      ...{ PS2: 15, S23: 15, S21: 15, S22: 15 },
    });
  });

  it('of branches are equal, and the rest goes to those that have more', () => {
    assert.deepEqual(shares({ PS2: 60, PS3: 60, X01: 40 }), { PS2: 55, PS3: 55, X01: 40 });
    assert.deepEqual(shares({ PS2: 70, PS3: 70, X01: 70, X02: 5 }), {
      ...{ PS2: 50, PS3: 50, X01: 45, X02: 5 },
    });
  });

  it('do not grow by sites that have shown no certificate: these are one', () => {
    const madeUp = Array.from({ length: 50 }, (_, at) => site(`Y${10 + at}`, 'secondary', 'PS2'));
    const ofMadeUp = Object.fromEntries(madeUp.map(({ siteCode }) => [siteCode, 4]));
    const given = shares({ PS2: 40, S21: 20, ...ofMadeUp }, known, madeUp);
    assert.equal(given.S21, 20);
    assert.equal(given.PS2, 20);
    assert.equal(given.Y10, 0);
    assert.equal(given.Y59, 1);
  });
});
