import assert from 'node:assert/strict';
import { type ToldTrust, toldRevocationCountMax, withTold } from './told-trust.ts';

const since = (forgetBeforeMs: number) => ({ siteCode: 'PS1', forgetBeforeMs });

const sites = [{ siteCode: 'PS1', parentSiteCode: '' }];

function told(revocations: readonly [string, number][], facts: Partial<ToldTrust> = {}): ToldTrust {
  const toRevocation = ([holder, revokedAtMs]: readonly [string, number]) => {
    return { siteCode: 'PS1', holder, revokedAtMs };
  };
  return { sites, revocations: revocations.map(toRevocation), ...facts };
}

describe('what a DP keeps of what it was told of trust', () => {
  it('is all of it, the first time', () => {
    const first = told([['dp/A', 5]]);
    assert.deepEqual(withTold(undefined, first, since(0)), first);
  });

  it('takes no revocation back, nor to an earlier moment', () => {
    const kept = withTold(
      told([
        ['dp/A', 5],
        ['dp/B', 5],
      ]),
      told([
        ['dp/B', 3],
        ['dp/C', 9],
      ]),
      since(0),
    );
    assert.deepEqual(
      kept,
      told([
        ['dp/C', 9],
        ['dp/A', 5],
        ['dp/B', 5],
      ]),
    );
  });

  it('keeps the revocations of a holder by different sites apart', () => {
    const other = [{ siteCode: 'CAS', holder: 'dp/A', revokedAtMs: 4 }];
    const kept = withTold(told([['dp/A', 5]]), told([], { revocations: other }), since(0));
    assert.equal(kept.revocations.length, 2);
  });

  it('forgets what was revoked so long ago that no certificate is left', () => {
    const kept = withTold(told([['dp/A', 5]]), told([['dp/B', 6]]), since(6));
    assert.deepEqual(kept, told([['dp/B', 6]]));
  });

  it('is bounded: what was said first goes first', () => {
    const many = Array.from({ length: toldRevocationCountMax }, (_, index) => {
      return [`dp/N${index}`, 10 + index] as const;
    });
    const kept = withTold(
      told([['dp/A', 5]]),
      told(many.map(([holder, ms]) => [holder, ms])),
      since(0),
    );
    assert.equal(kept.revocations.length, toldRevocationCountMax);
    assert.equal(kept.revocations.at(-1)?.holder, 'dp/N0');
  });

  describe('when a site says more than anybody can keep (SEC-3)', () => {
    const places = [
      { siteCode: 'CAS', parentSiteCode: '' },
      ...['PS1', 'PS2', 'PS3'].map((siteCode) => ({ siteCode, parentSiteCode: 'CAS' })),
    ];
    const said = (siteCode: string, countMax: number, sinceMs: number) =>
      Array.from({ length: countMax }, (_, index) => {
        return { siteCode, holder: `client/${siteCode}-${index}`, revokedAtMs: sinceMs + index };
      });
    const flood = said('PS2', toldRevocationCountMax, 1_000);

    it('forgets nothing that its own site, or one above it, said before', () => {
      const before = [
        ...said('PS1', 20_000, 1),
        { siteCode: 'CAS', holder: 'admin/bob', revokedAtMs: 1 },
      ];
      const first = { sites: places, revocations: before };
      const { revocations } = withTold(first, { sites: places, revocations: flood }, since(0));
      assert.equal(revocations.length, toldRevocationCountMax);
      const kept = new Set(revocations.map(({ holder }) => holder));
      assert.ok(before.every(({ holder }) => kept.has(holder)));
    });

    it('forgets nothing that a third one said, however many sites it has made below itself', () => {
      const madeUp = Array.from({ length: 480 }, (_, index) => `X${index.toString(36)}`);
      const grown = [...places, ...madeUp.map((siteCode) => ({ siteCode, parentSiteCode: 'PS2' }))];
      const before = said('PS3', 5_000, 1);
      const floods = [...madeUp, 'GON'].flatMap((siteCode) => said(siteCode, 120, 1_000));
      const first = { sites: grown, revocations: before };
      const { revocations } = withTold(first, { sites: grown, revocations: floods }, since(0));
      assert.equal(revocations.length, toldRevocationCountMax);
      const keptOf = (of: string) => revocations.filter(({ siteCode }) => siteCode === of).length;
      assert.equal(keptOf('PS3'), 5_000);
      assert.equal(keptOf('GON'), 120, 'of one nobody knows, as of a branch of its own');
    });

    it('forgets nothing that one said which stands in the same branch, and says little', () => {
      const grown = [...places, { siteCode: 'S21', parentSiteCode: 'PS2' }];
      const first = { sites: grown, revocations: said('S21', 10, 1) };
      const { revocations } = withTold(first, { sites: grown, revocations: flood }, since(0));
      assert.equal(revocations.filter(({ siteCode }) => siteCode === 'S21').length, 10);
    });

    it('forgets nothing that a third one said, which says little', () => {
      const before = said('PS3', 10, 1);
      const first = { sites: places, revocations: before };
      const { revocations } = withTold(first, { sites: places, revocations: flood }, since(0));
      const kept = revocations.filter(({ siteCode }) => siteCode === 'PS3');
      assert.equal(kept.length, 10);
      assert.equal(revocations[0]?.revokedAtMs, flood.at(-1)?.revokedAtMs, 'the latest first');
    });
  });

  it('goes by the newest sites and the last bundle, whatever number one before gave itself', () => {
    const [before, after] = [
      { generation: Number.MAX_SAFE_INTEGER, base64: 'anVuaw==' },
      { generation: 2, base64: 'bmV3' },
    ];
    const moved = [{ siteCode: 'PS1', parentSiteCode: 'CAS' }];
    const said = { ...told([]), sites: moved, bundle: after };
    assert.deepEqual(withTold(told([], { bundle: before }), said, since(0)), said);
    assert.deepEqual(withTold(said, told([]), since(0)).bundle, after);
  });
});
