import assert from 'node:assert/strict';
import { type ToldTrust, toldRevocationCountMax, withTold } from './told-trust.ts';

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
    assert.deepEqual(withTold(undefined, first, 0), first);
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
      0,
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
    const kept = withTold(told([['dp/A', 5]]), told([], { revocations: other }), 0);
    assert.equal(kept.revocations.length, 2);
  });

  it('forgets what was revoked so long ago that no certificate is left', () => {
    const kept = withTold(told([['dp/A', 5]]), told([['dp/B', 6]]), 6);
    assert.deepEqual(kept, told([['dp/B', 6]]));
  });

  it('is bounded: what was said first goes first', () => {
    const many = Array.from({ length: toldRevocationCountMax }, (_, index) => {
      return [`dp/N${index}`, 10 + index] as const;
    });
    const kept = withTold(told([['dp/A', 5]]), told(many.map(([holder, ms]) => [holder, ms])), 0);
    assert.equal(kept.revocations.length, toldRevocationCountMax);
    assert.equal(kept.revocations.at(-1)?.holder, 'dp/N0');
  });

  it('goes by the newest sites and the last bundle, whatever number one before gave itself', () => {
    const [before, after] = [
      { generation: Number.MAX_SAFE_INTEGER, base64: 'anVuaw==' },
      { generation: 2, base64: 'bmV3' },
    ];
    const moved = [{ siteCode: 'PS1', parentSiteCode: 'CAS' }];
    const said = { ...told([]), sites: moved, bundle: after };
    assert.deepEqual(withTold(told([], { bundle: before }), said, 0), said);
    assert.deepEqual(withTold(said, told([]), 0).bundle, after);
  });
});
