import assert from 'node:assert/strict';
import { SeededRandom } from '../testing/seeded-random.ts';
import { testJob } from '../testing/test-job.ts';
import type { DistributionJob } from './distribution-job.ts';
import { compareJobs } from './job-order.ts';
import { movedOrders, type QueueTarget } from './queue-order.ts';

const queueOf = (...orders: number[]) =>
  orders.map((order, index) => testJob({ jobSerial: index + 1, order }));

function applied(
  queue: readonly DistributionJob[],
  moved: readonly number[],
  target: QueueTarget,
): DistributionJob[] {
  const orders = movedOrders(queue, new Set(moved), target);
  return queue
    .map((job) => ({ ...job, order: orders.get(job.jobSerial) ?? job.order }))
    .sort(compareJobs);
}

const serials = (jobs: readonly DistributionJob[]) => jobs.map(({ jobSerial }) => jobSerial);

describe("administrator's order in the queue (PTM-3, ADM-2)", () => {
  const beforeJob = (jobSerial: number) => ({ kind: 'before', jobSerial }) as const;
  const cases: [name: string, moved: number[], target: QueueTarget, expected: number[]][] = [
    ['one to the front', [4], { kind: 'first' }, [4, 1, 2, 3, 5]],
    ['several to the front, in their order', [5, 3], { kind: 'first' }, [3, 5, 1, 2, 4]],
    ['one to the end', [2], { kind: 'last' }, [1, 3, 4, 5, 2]],
    ['several to the end', [1, 4], { kind: 'last' }, [2, 3, 5, 1, 4]],
    ['one before another', [5], beforeJob(2), [1, 5, 2, 3, 4]],
    ['one behind, by way of the next', [1], beforeJob(4), [2, 3, 1, 4, 5]],
    ['itself: nothing', [3], beforeJob(3), [1, 2, 3, 4, 5]],
    ['all of them: nothing', [1, 2, 3, 4, 5], { kind: 'first' }, [1, 2, 3, 4, 5]],
  ];
  for (const [name, moved, target, expected] of cases) {
    it(name, () => {
      assert.deepEqual(serials(applied(queueOf(0, 0, 0, 0, 0), moved, target)), expected);
    });
  }

  it('leaves new jobs behind those put first, and before those put last', () => {
    const first = applied(queueOf(0, 0, 0), [3], { kind: 'first' });
    const last = applied(first, [1], { kind: 'last' });
    const withNew = [...last, testJob({ jobSerial: 9, order: 0 })].sort(compareJobs);
    assert.deepEqual(serials(withNew), [3, 2, 9, 1]);
  });

  it('changes no order without need', () => {
    const orders = movedOrders(queueOf(0, 0, 0, 0), new Set([4]), { kind: 'first' });
    assert.deepEqual([...orders], [[4, -1]]);
  });

  it('is what a list of jobs would do, whatever is moved how often (property)', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed);
      let queue = queueOf(...Array.from({ length: 8 }, () => 0)).sort(compareJobs);
      for (let step = 0; step < 25; step++) {
        const moved = serials(queue).filter(() => random.next() < 0.3);
        const target = pickTarget(random, queue);
        const expected = modelMove(serials(queue), new Set(moved), target);
        queue = applied(queue, moved, target);
        const told = `seed ${seed}, step ${step}: ${moved.join()} ${JSON.stringify(target)}`;
        assert.deepEqual(serials(queue), expected, told);
        assert.ok(queue.every(({ order }) => Number.isSafeInteger(order)));
      }
    }
  });
});

function pickTarget(random: SeededRandom, queue: readonly DistributionJob[]): QueueTarget {
  const kind = random.pick(['first', 'last', 'before'] as const);
  return kind === 'before' ? { kind, jobSerial: random.pick(serials(queue)) } : { kind };
}

/** The same on a plain list. */
function modelMove(list: readonly number[], moved: ReadonlySet<number>, target: QueueTarget) {
  const moving = list.filter((serial) => moved.has(serial));
  const staying = list.filter((serial) => !moved.has(serial));
  if (target.kind === 'last') return [...staying, ...moving];
  const index = target.kind === 'first' ? 0 : staying.indexOf(target.jobSerial);
  if (index < 0) return [...list];
  return [...staying.slice(0, index), ...moving, ...staying.slice(index)];
}
