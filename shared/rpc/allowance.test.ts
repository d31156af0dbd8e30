import assert from 'node:assert/strict';
import { Allowance } from './allowance.ts';

const flow = { perSecond: 10, burst: 100 };

describe('allowance', () => {
  it('gives a burst, and then so much a second', () => {
    const allowance = new Allowance(flow, 0);
    for (let count = 0; count < 100; count++) assert.ok(allowance.take(1, 0));
    assert.ok(!allowance.take(1, 0));
    assert.ok(allowance.take(1, 200));
    assert.ok(!allowance.take(1, 200));
  });

  it('says how long to wait for one more', () => {
    const allowance = new Allowance(flow, 0);
    allowance.take(100, 0);
    assert.equal(allowance.waitMs(0), 100);
    assert.equal(allowance.waitMs(50), 50);
    assert.equal(allowance.waitMs(100), 0);
  });

  it('lends no more than a burst: who was over comes back in a known time', () => {
    const allowance = new Allowance(flow, 0);
    allowance.take(1_000_000, 0);
    assert.ok(allowance.isUsedUp(9_900));
    assert.ok(!allowance.isUsedUp(10_100));
    assert.ok(!allowance.isFull(10_100));
    assert.ok(allowance.isFull(20_000));
  });
});
