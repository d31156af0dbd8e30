import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { type FetchedBytes, PullMeasure } from './pull-measure.ts';

const mb = 1_000_000;
const withDp = { state: 'in-progress', sendAction: 'PullQueryResultAction' } as const;

describe('how fast a pull DP fetches (PTM-3)', () => {
  let clock: FakeClock;
  let tell: (job: DistributionJob) => void;
  let measured: FetchedBytes[];

  beforeEach(() => {
    clock = new FakeClock();
    measured = [];
    const measure = new PullMeasure({ clock, onMeasured: (_, fetched) => measured.push(fetched) });
    measure.follow({
      onChanged: (listener) => {
        tell = listener;
        return () => {};
      },
    });
  });

  const ended = (bytesSent: number) => testJob({ state: 'complete', bytesSent, endedAtMs: 1 });

  it('is what it has received from when it took the job to its success', async () => {
    tell(testJob(withDp));
    await clock.advance(5_000);
    tell(testJob({ ...withDp, bytesSent: 10 * mb }));
    await clock.advance(5_000);
    tell(ended(20 * mb));
    assert.deepEqual(measured, [{ sizeBytes: 20 * mb, durationMs: 10_000 }]);
    tell(ended(20 * mb));
    assert.equal(measured.length, 1, 'once');
  });

  it('leaves out the time in which it waited for a source', async () => {
    tell(testJob(withDp));
    await clock.advance(5_000);
    tell(testJob({ ...withDp, waitingReason: 'no-source', bytesSent: 3 * mb }));
    await clock.advance(3_600_000);
    tell(testJob({ ...withDp, waitingReason: 'no-source', bytesSent: 3 * mb }));
    tell(testJob({ ...withDp, bytesSent: 3 * mb }));
    await clock.advance(2_000);
    tell(ended(7 * mb));
    assert.deepEqual(measured, [{ sizeBytes: 4 * mb, durationMs: 2_000 }]);
  });

  it('is nothing of a job that failed, was taken back, or never was with a pull DP', async () => {
    tell(testJob({ state: 'in-progress' }));
    tell(ended(20 * mb));
    tell(testJob({ ...withDp, jobSerial: 2 }));
    tell(testJob({ jobSerial: 2, state: 'pending-restart', bytesSent: 9 * mb }));
    tell(testJob({ jobSerial: 2, state: 'complete', bytesSent: 9 * mb, endedAtMs: 1 }));
    tell(testJob({ ...withDp, jobSerial: 3 }));
    tell(testJob({ jobSerial: 3, state: 'failed', bytesSent: 9 * mb, endedAtMs: 1 }));
    assert.deepEqual(measured, []);
  });
});
