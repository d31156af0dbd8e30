import assert from 'node:assert/strict';
import fc from 'fast-check';
import { testJob } from '../testing/test-job.ts';
import type { DistributionJob } from './distribution-job.ts';
import { JobOrder } from './job-order.ts';
import { compareJobs } from './job-queue.ts';
import { toPackageId } from './package.ts';

/** A change of one job: it comes or is another one, or it goes. */
const change = fc.record({
  jobSerial: fc.integer({ min: 1, max: 60 }),
  isGone: fc.boolean(),
  priority: fc.constantFrom(1 as const, 2 as const, 3 as const),
  dpPriority: fc.integer({ min: 1, max: 3 }),
  order: fc.integer({ min: -1, max: 1 }),
  tryCount: fc.integer({ min: 0, max: 9 }),
});

describe('order of jobs', () => {
  let jobs: Map<number, DistributionJob>;
  let order: JobOrder;

  const put = (facts: Partial<DistributionJob> & { jobSerial: number }) => {
    order.changes(facts.jobSerial, jobs.get(facts.jobSerial));
    const packageId = toPackageId('PS1', facts.jobSerial);
    jobs.set(facts.jobSerial, testJob({ packageId, ...facts }));
  };
  const take = (jobSerial: number) => {
    order.changes(jobSerial, jobs.get(jobSerial));
    jobs.delete(jobSerial);
  };
  const begin = () => {
    jobs = new Map();
    order = new JobOrder((jobSerial) => jobs.get(jobSerial));
  };
  const check = () => {
    const expected = [...jobs.values()].sort(compareJobs);
    assert.deepEqual([...order.jobs], expected);
  };
  beforeEach(begin);

  it('is that of the queue after any changes, few or many at once (PTM-3)', () => {
    const rounds = fc.array(fc.array(change, { maxLength: 80 }), { maxLength: 8 });
    fc.assert(
      fc.property(rounds, (all) => {
        begin();
        for (const round of all) {
          for (const { isGone, ...facts } of round) {
            if (isGone) take(facts.jobSerial);
            else put(facts);
          }
          check();
        }
      }),
    );
  });

  it('takes many at once as it takes a few, also those that come and go in between', () => {
    for (let serial = 1; serial <= 100; serial++) put({ jobSerial: serial });
    take(7);
    check();
    put({ jobSerial: 7, priority: 1 });
    take(8);
    put({ jobSerial: 8, priority: 3 });
    put({ jobSerial: 101 });
    take(101);
    check();
    assert.deepEqual([order.jobs[0]?.jobSerial, order.jobs.at(-1)?.jobSerial], [7, 8]);
    for (let serial = 1; serial <= 50; serial++) take(serial);
    check();
  });
});
