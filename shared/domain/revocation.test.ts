import assert from 'node:assert/strict';
import { beginningOf, isRevoked } from './revocation.ts';

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
});
