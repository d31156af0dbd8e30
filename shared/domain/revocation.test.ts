import assert from 'node:assert/strict';
import type { Voucher } from './certificate-authority.ts';
import {
  beginningOf,
  holderKindOf,
  isRevocationHeard,
  isRevoked,
  parseHolder,
  RevocationIndex,
} from './revocation.ts';
import { treeOfPlaces } from './site-tree.ts';

/** CAS over PS1 and PS2, PS1 over SS1. */
const places = treeOfPlaces([
  { siteCode: 'CAS', parentSiteCode: '' },
  { siteCode: 'PS1', parentSiteCode: 'CAS' },
  { siteCode: 'PS2', parentSiteCode: 'CAS' },
  { siteCode: 'SS1', parentSiteCode: 'PS1' },
]);

const skewMs = 300_000;

describe('revocation (SEC-3)', () => {
  it('is of every certificate that begins before it, or with it', () => {
    const revocation = { revokedAtMs: 10_000 };
    assert.equal(isRevoked(9_000, revocation), true);
    assert.equal(isRevoked(10_000, revocation), true);
    assert.equal(isRevoked(11_000, revocation), false);
    assert.equal(isRevoked(9_000, undefined), false);
  });

  it('does not reach a certificate that is given after it, however soon', () => {
    for (const revokedAtMs of [999_000, 999_001, 999_999, 1_000_000]) {
      const notBeforeMs = beginningOf(1_000_000, skewMs, { revokedAtMs });
      assert.equal(notBeforeMs % 1000, 0, 'X.509 counts in seconds');
      assert.equal(isRevoked(notBeforeMs, { revokedAtMs }), false, `${revokedAtMs}`);
    }
  });

  it('long past, leaves certificates to begin a little ago, for clocks that are behind', () => {
    assert.equal(beginningOf(1_000_000, skewMs, undefined), 700_000);
    assert.equal(beginningOf(1_000_000, skewMs, { revokedAtMs: 5 }), 700_000);
  });

  for (const holder of ['site/PS1', 'dp/PS1DP1', 'admin/bob', 'client/pc1', 'admin/a@b.org']) {
    it(`knows ${holder} as a holder`, () => {
      assert.equal(parseHolder(holder), holder);
      assert.equal(holderKindOf(holder), holder.split('/')[0]);
    });
  }

  const noHolders = [
    '',
    'bob',
    'dp/',
    'king/arthur',
    'site/ps',
    'admin/full/bob',
    'admin/full/',
    'admin/a b',
    'dp/a/b',
    'admin/bob?site=PS1',
    'waybill://dp/a',
  ];
  for (const text of noHolders) {
    it(`knows "${text}" as none`, () => {
      assert.equal(parseHolder(text), undefined);
    });
  }
});

describe('where what a site revoked counts', () => {
  const cases: readonly [string, Voucher, string, boolean][] = [
    // A site about whom it vouches for: everywhere.
    ['PS1', { siteCode: 'PS1' }, 'CAS', true],
    ['PS1', { siteCode: 'PS1' }, 'PS2', true],
    ['PS1', { siteCode: 'SS1' }, 'PS2', true],
    ['CAS', { siteCode: 'SS1' }, 'PS2', true],
    // A site about everybody: at itself and below.
    ['PS1', { siteCode: 'CAS' }, 'PS1', true],
    ['PS1', { siteCode: 'PS2' }, 'SS1', true],
    ['SS1', { siteCode: 'CAS' }, 'SS1', true],
    // And nowhere else.
    ['SS1', { siteCode: 'CAS' }, 'PS1', false],
    ['SS1', { siteCode: 'PS1' }, 'CAS', false],
    ['PS2', { siteCode: 'PS1' }, 'SS1', false],
    ['PS2', { siteCode: 'CAS' }, 'CAS', false],
    // Development certificates: everywhere.
    ['SS1', 'root', 'PS2', true],
    // Of a voucher that is not known nobody is trusted by mistake.
    ['SS1', { siteCode: 'XX1' }, 'PS2', true],
    ['XX1', { siteCode: 'XX1' }, 'PS2', true],
    ['XX1', { siteCode: 'PS1' }, 'PS2', false],
  ];
  for (const [saidAt, voucher, at, isHeard] of cases) {
    const by = voucher === 'root' ? 'the root' : voucher.siteCode;
    it(`at ${saidAt}, of somebody by ${by}: ${isHeard ? 'counts' : 'counts not'} at ${at}`, () => {
      assert.equal(isRevocationHeard(saidAt, { voucher, at }, places), isHeard);
    });
  }
});

describe('revocations in memory', () => {
  it('are known by holder and site, the latest of a holder first', () => {
    const index = new RevocationIndex();
    const [first, second] = [
      { siteCode: 'CAS', holder: 'dp/B', revokedAtMs: 2 },
      { siteCode: 'PS1', holder: 'dp/B', revokedAtMs: 3 },
    ];
    const other = { siteCode: 'PS1', holder: 'dp/A', revokedAtMs: 1 };
    for (const one of [first, second, other]) index.put(one);
    assert.deepEqual(index.list(), [other, first, second]);
    assert.deepEqual(index.latestOf('dp/B'), second);
    index.delete(second);
    assert.deepEqual(index.latestOf('dp/B'), first);
    index.delete(first);
    index.delete(first);
    assert.equal(index.latestOf('dp/B'), undefined);
    assert.deepEqual(index.of('dp/B'), []);
  });
});
