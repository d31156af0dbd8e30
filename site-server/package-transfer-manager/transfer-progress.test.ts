import assert from 'node:assert/strict';
import { testJob } from '../../shared/testing/test-job.ts';
import { TransferProgress } from './transfer-progress.ts';

describe('transfer progress', () => {
  let nowMs: number;
  let changeCount: number;
  beforeEach(() => {
    nowMs = 0;
    changeCount = 0;
  });

  const progressOf = (
    facts: { totalBytes?: number; remainingBytes?: number; bytesSent?: number } = {},
  ) =>
    new TransferProgress({
      monotonicMs: () => nowMs,
      onChange: () => {
        changeCount += 1;
      },
      job: testJob(facts),
    });

  it('knows nothing before the DP was asked', () => {
    const progress = progressOf();
    assert.deepEqual(
      [progress.expectedBytes, progress.percent, progress.remaining.remainingBytes],
      [0, 0, 0],
    );
  });

  it('counts what is expected, sent and acknowledged', () => {
    const progress = progressOf();
    progress.expect(1_000);
    progress.sent(600);
    nowMs = 1_000;
    progress.acknowledged(500);
    assert.equal(progress.remainingBytes, 500);
    assert.equal(progress.percent, 50);
    assert.equal(progress.sentBytes, 600);
    assert.equal(progress.bytesPerSecond, 500);
    assert.deepEqual(progress.remaining, {
      ...{ remainingBytes: 500, measured: { bytesPerSecond: 500, trust: 0 } },
    });
    assert.equal(progress.acknowledgedCount, 1);
    assert.equal(changeCount, 2);
  });

  it('knows the rate of a message that takes long, before it is there (PTM-6)', () => {
    const progress = progressOf();
    progress.expect(4_000_000);
    for (let part = 1; part <= 10; part++) {
      nowMs = part * 1_000;
      progress.partSent(100_000);
      assert.ok(Math.abs(progress.bytesPerSecond - 100_000) < 1_000, `${progress.bytesPerSecond}`);
    }
    assert.equal(progress.remainingBytes, 4_000_000);
    assert.equal(progress.remaining.remainingBytes, 3_000_000, 'the rest has left');
    progress.acknowledged(1_000_000);
    nowMs += 1_000;
    progress.partSent(100_000);
    assert.ok(Math.abs(progress.bytesPerSecond - 100_000) < 1_000, 'nothing counts twice');
    assert.equal(progress.remainingBytes, 3_000_000);
  });

  it('is 100 % only when all is acknowledged', () => {
    const progress = progressOf();
    progress.expect(1_000_000);
    progress.acknowledged(999_999);
    assert.equal(progress.percent, 99);
    progress.acknowledged(1);
    assert.equal(progress.percent, 100);
  });

  it('takes back what another transfer brings', () => {
    const progress = progressOf();
    progress.expect(1_000);
    progress.expect(-400);
    progress.acknowledged(600);
    assert.deepEqual([progress.percent, progress.remainingBytes], [100, 0]);
  });

  it('goes on from what earlier runs have brought and sent', () => {
    const progress = progressOf({ totalBytes: 1_000, remainingBytes: 400, bytesSent: 700 });
    progress.expect(400);
    assert.equal(progress.totalBytes, 1_000);
    assert.equal(progress.percent, 60);
    progress.sent(400);
    progress.acknowledged(400);
    assert.equal(progress.percent, 100);
    assert.equal(progress.sentBytesOfAllRuns, 1_100);
  });
});
