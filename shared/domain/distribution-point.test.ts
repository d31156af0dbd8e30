import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  distributionPointPriorityDefault,
  parseAddress,
  parseDistributionPointId,
  tunedPriority,
} from './distribution-point.ts';

describe('distribution point', () => {
  it('has a name that is safe in a key, a certificate and a host name', () => {
    for (const id of ['A', 'PS1DP1', 'dp-1.example.org', `a${'b'.repeat(61)}c`]) {
      assert.equal(parseDistributionPointId(id), id);
    }
    for (const id of ['', '-a', 'a-', '.a', 'a/b', 'a b', 'a\n', 'é', 'a'.repeat(64)]) {
      assert.equal(parseDistributionPointId(id), undefined, JSON.stringify(id));
    }
  });

  it('has an address of host and port', () => {
    for (const address of ['a:1', 'dp1.example.org:8531', '10.0.0.1:65535', '[::1]:8531']) {
      assert.equal(parseAddress(address), address);
    }
    for (const address of [
      '',
      'a',
      'a:',
      ':1',
      'a:0',
      'a:65536',
      '::1:8531',
      'a b:1',
      'a:1\n',
      'a/b:1',
    ]) {
      assert.equal(parseAddress(address), undefined, JSON.stringify(address));
    }
  });

  it('begins at 200 and is tuned from its rate: quicker goes first (PTM-3)', () => {
    assert.equal(distributionPointPriorityDefault, 200);
    assert.equal(tunedPriority(0), 200);
    assert.equal(tunedPriority(10_000_000), 200);
    assert.equal(tunedPriority(100_000_000), 150);
    assert.equal(tunedPriority(1_000_000), 250);
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), fc.nat(2 ** 31 - 1), (a, b) => {
        const [slow, quick] = [Math.min(a, b) + 1, Math.max(a, b) + 1];
        assert.ok(tunedPriority(quick) <= tunedPriority(slow));
        assert.ok(tunedPriority(slow) >= 1 && tunedPriority(slow) <= 400);
      }),
    );
  });
});
