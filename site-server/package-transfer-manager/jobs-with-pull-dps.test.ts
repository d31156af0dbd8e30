import assert from 'node:assert/strict';
import { type DistributionJob, isWithPullDp } from '../../shared/domain/distribution-job.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { JobsWithPullDps } from './jobs-with-pull-dps.ts';

const stepCount = 2_000;

describe('jobs that pull DPs have (PULL-3)', () => {
  for (const seed of [1, 2, 3]) {
    it(`are due as a look at all open jobs says, after any change, seed ${seed}`, () => {
      const random = new SeededRandom(seed);
      const open = new Map<number, DistributionJob>();
      const followed = new JobsWithPullDps();
      for (let step = 0; step < stepCount; step++) {
        const jobSerial = random.below(200) + 1;
        if (random.below(4) === 0) {
          open.delete(jobSerial);
          followed.delete(jobSerial);
        } else {
          const job = randomJob(random, jobSerial);
          open.set(jobSerial, job);
          followed.set(job);
        }
        const withDps = [...open.values()].filter(isWithPullDp).sort(byTime);
        const nowMs = random.below(30);
        const isDue = ({ restartAtMs }: DistributionJob) => restartAtMs <= nowMs;
        assert.equal(followed.size, withDps.length);
        assert.deepEqual(followed.dueAt(nowMs), withDps.filter(isDue));
        assert.equal(followed.nextDueMs(nowMs), withDps.find((job) => !isDue(job))?.restartAtMs);
      }
    });
  }
});

function randomJob(random: SeededRandom, jobSerial: number): DistributionJob {
  const job = testJob({ jobSerial, restartAtMs: random.below(25) });
  if (random.below(3) === 0) return job;
  return { ...job, state: 'in-progress', sendAction: 'PullQueryResultAction' };
}

function byTime(a: DistributionJob, b: DistributionJob): number {
  return a.restartAtMs - b.restartAtMs || a.jobSerial - b.jobSerial;
}
