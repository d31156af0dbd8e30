import assert from 'node:assert/strict';
import type { CertifiedPeer, Voucher } from '../domain/certificate-authority.ts';
import { fromIdentityUri } from '../domain/peer-identity.ts';
import { RevocationIndex } from '../domain/revocation.ts';
import { treeOfPlaces } from '../domain/site-tree.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import type { CallerGroup } from './call-policy.ts';
import { KnownTrust } from './known-trust.ts';

const atMs = Date.parse('2026-01-02T03:04:05.000Z');
const dayMs = 86_400_000;

function peer(uri: string, facts: Partial<CertifiedPeer> = {}): CertifiedPeer {
  const identity = fromIdentityUri(`waybill://${uri}`) ?? assert.fail(uri);
  const life = { notBeforeMs: atMs - dayMs, notAfterMs: atMs + dayMs };
  return { identity, voucher: 'root', ...life, ...facts };
}

/** At site PS1, below CAS; PS2 is beside it. @param revocations each by the site `saidAt`, by holder */
function newTrust(revocations: Record<string, number> = {}, saidAt = 'CAS') {
  const clock = new FakeClock(atMs);
  const index = new RevocationIndex();
  for (const [holder, revokedAtMs] of Object.entries(revocations)) {
    index.put({ siteCode: saidAt, holder, revokedAtMs });
  }
  const places = treeOfPlaces([
    { siteCode: 'CAS', parentSiteCode: '' },
    { siteCode: 'PS1', parentSiteCode: 'CAS' },
    { siteCode: 'PS2', parentSiteCode: 'CAS' },
  ]);
  const needs = { clock, siteCode: 'PS1', places: () => places, revocations: index };
  return { clock, trust: new KnownTrust(needs) };
}

describe('whose certificate counts (SEC-3)', () => {
  const own: Voucher = { siteCode: 'PS1' };
  const life = { voucher: own, vouchedFromMs: atMs - 10 * dayMs } as const;

  it('counts whoever is not revoked', () => {
    const { trust } = newTrust({ 'dp/PS1DP2': atMs, 'admin/PS1DP1': atMs, 'site/PS2': atMs });
    assert.equal(trust.refusalOf(peer('dp/PS1DP1', life)), undefined);
  });

  it('refuses what began before the revocation, or with it, whatever its role and scope', () => {
    for (const uri of ['admin/full/bob', 'admin/operator/bob?site=PS1']) {
      const { trust } = newTrust({ 'admin/bob': atMs });
      for (const notBeforeMs of [atMs - 1_000, atMs]) {
        const refusal = trust.refusalOf(peer(uri, { notBeforeMs }));
        assert.equal(refusal, 'it was revoked at 2026-01-02 03:04:05 UTC');
      }
      assert.equal(trust.refusalOf(peer(uri, { notBeforeMs: atMs + 1_000 })), undefined);
    }
  });

  it('refuses whatever the authority of a revoked site issued, before or since', () => {
    const { trust } = newTrust({ 'site/PS1': atMs });
    for (const uri of ['site/PS1', 'dp/PS1DP1', 'admin/full/eve']) {
      const made = peer(uri, { ...life, notBeforeMs: atMs + dayMs, notAfterMs: atMs + 9 * dayMs });
      assert.match(trust.refusalOf(made) ?? '', /site PS1, whose authority issued it, was revoked/);
      // It has a new authority.
      assert.equal(trust.refusalOf({ ...made, vouchedFromMs: atMs + 1_000 }), undefined);
    }
  });

  it('refuses what a revoked authority issued when it is not known since when it is one', () => {
    const { trust } = newTrust({ 'site/PS1': atMs });
    assert.notEqual(trust.refusalOf(peer('dp/PS1DP1', { voucher: own })), undefined);
  });

  it('does not heed a site that has no say about somebody here', () => {
    const { trust } = newTrust({ 'admin/bob': atMs, 'site/CAS': atMs }, 'PS2');
    const bob = peer('admin/full/bob', { voucher: { siteCode: 'CAS' }, vouchedFromMs: 0 });
    assert.equal(trust.refusalOf(bob), undefined);
    const its = peer('admin/full/bob', { voucher: { siteCode: 'PS2' }, vouchedFromMs: 0 });
    assert.match(trust.refusalOf(its) ?? '', /^it was revoked/);
  });

  it('refuses what is over, by the clock of this machine', async () => {
    const { clock, trust } = newTrust();
    const some = peer('dp/PS1DP1', { notAfterMs: atMs + 1_000 });
    await clock.advance(1_000);
    assert.equal(trust.refusalOf(some), undefined);
    await clock.advance(1);
    assert.equal(trust.refusalOf(some), 'it expired at 2026-01-02 03:04:06 UTC');
    // It may be renewed all the same.
    assert.equal(trust.revocationOf(some), undefined);
  });
});

describe('where a voucher is heard (SEC-1)', () => {
  const dps: CallerGroup = 'distribution points of this site';
  const cases: readonly [string, Voucher, CallerGroup, boolean][] = [
    ['dp/PS1DP1', { siteCode: 'PS1' }, dps, true],
    ['dp/PS1DP1', { siteCode: 'CAS' }, dps, false],
    ['dp/PS1DP1', { siteCode: 'SS1' }, dps, false],
    ['dp/PS1DP1', 'root', dps, true],
    ['dp/PS1DP1', { siteCode: 'SS1' }, 'every peer of the hierarchy', true],
    ['admin/full/bob', { siteCode: 'PS1' }, 'administrators', true],
    ['admin/full/bob', { siteCode: 'CAS' }, 'administrators', true],
    ['admin/full/bob', { siteCode: 'SS1' }, 'administrators', false],
    ['admin/full/bob', { siteCode: 'PS2' }, 'administrators', false],
    ['admin/full/bob', 'root', 'administrators', true],
    ['site/PS2', { siteCode: 'PS2' }, 'sites of the hierarchy', true],
    ['site/PS2', { siteCode: 'CAS' }, 'sites of the hierarchy', false],
    ['site/PS1', { siteCode: 'PS1' }, 'the site of this DP', true],
    ['site/PS2', 'root', 'sites of the hierarchy', true],
  ];
  for (const [uri, voucher, group, isHeard] of cases) {
    const by = voucher === 'root' ? 'the root' : voucher.siteCode;
    it(`${isHeard ? 'hears' : 'does not hear'} ${by} of ${uri} as one of "${group}"`, () => {
      assert.equal(newTrust().trust.isVouchedHere(peer(uri, { voucher }), group), isHeard);
    });
  }
});

describe('news of trust', () => {
  it('reach everybody who listens, at each change and now and then, until he is told to stop', async () => {
    const { clock, trust } = newTrust();
    let count = 0;
    const listener = () => {
      count += 1;
    };
    const ends = [trust.onChange(listener), trust.onChange(listener)];
    trust.changed();
    assert.equal(count, 2);
    await trust.start();
    for (const sweeps of [1, 2]) {
      await clock.advance(30_000);
      assert.equal(count, 2 + 2 * sweeps);
    }
    ends[0]?.();
    trust.changed();
    assert.equal(count, 7);
    await trust.stop();
    ends[1]?.();
    trust.changed();
    assert.equal(count, 7);
  });
});
