import assert from 'node:assert/strict';
import { testJob } from '../../shared/testing/test-job.ts';
import type { JobFailure } from './job-failure.ts';
import { defaultPullConfig } from './pull-config.ts';
import { RetryPolicy } from './retry-policy.ts';

const minuteMs = 60_000;
const config = {
  retryCountMax: 100,
  retryDelayMs: 5_000,
  retryDelayMsMax: 30 * minuteMs,
  diskFullDelayMs: 2_000,
  diskFullDelayMsMax: 30_000,
  pull: defaultPullConfig,
};
const job = testJob({ jobSerial: 7 });
const failure: JobFailure = {
  kind: 'retry',
  waitingReason: 'retry-at',
  reason: 'test',
};
const diskFull: JobFailure = { ...failure, waitingReason: 'disk-full-at-dp' };

describe('retry policy', () => {
  let policy: RetryPolicy;
  let random: number;
  beforeEach(() => {
    random = 1;
    policy = new RetryPolicy(config, () => random);
  });

  const delays = (count: number, what = failure) =>
    Array.from({ length: count }, () => policy.delayMs(job, what, false));

  it('doubles from 5 s to 30 min and stays there (PTM-8)', () => {
    assert.deepEqual(
      delays(12).map((ms) => ms / 1_000),
      [5, 10, 20, 40, 80, 160, 320, 640, 1_280, 1_800, 1_800, 1_800],
    );
  });

  it('spreads tries by half of the wait', () => {
    random = 0;
    assert.deepEqual(delays(2), [2_500, 5_000]);
  });

  it('begins again when something was moved', () => {
    delays(8);
    assert.equal(policy.delayMs(job, failure, true), 5_000);
    assert.equal(policy.isFirstFailure(7), true);
    assert.equal(policy.delayMs(job, failure, false), 10_000);
    assert.equal(policy.isFirstFailure(7), false);
  });

  it('looks at a full disk every 2 to 30 s, whatever failed before', () => {
    delays(8);
    assert.deepEqual(delays(6, diskFull), [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert.equal(policy.wasDiskFull(7), true);
    policy.delayMs(job, { ...failure, waitingReason: 'dp-unreachable' }, false);
    assert.equal(
      policy.wasDiskFull(7),
      true,
      'it is asked for room before all else when it is back',
    );
    policy.delayMs(job, failure, false);
    assert.equal(policy.wasDiskFull(7), false, 'another failure: no room was missing');
    assert.deepEqual(delays(1, diskFull), [2_000]);
  });

  it('waits longer each time a DP only came back to fail', () => {
    const returns = () => Array.from({ length: 4 }, () => policy.returnDelayMs(7));
    assert.deepEqual(returns(), [100, 200, 400, 800]);
    policy.delayMs(job, failure, false);
    assert.equal(policy.returnDelayMs(7), 1_600);
    policy.delayMs(job, failure, true);
    assert.equal(policy.returnDelayMs(7), 100);
    for (let time = 0; time < 40; time++) policy.returnDelayMs(7);
    assert.equal(policy.returnDelayMs(7), 30 * minuteMs);
  });

  it('knows jobs apart, and forgets those that ended', () => {
    delays(5, diskFull);
    assert.equal(policy.delayMs(testJob({ jobSerial: 8 }), failure, false), 5_000);
    policy.forget(7);
    assert.equal(policy.wasDiskFull(7), false);
    assert.deepEqual(delays(1), [5_000]);
  });
});
