import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { hoursOfWeek, type TransferControls } from '../../shared/domain/transfer-controls.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { peerFailed, siteDiskFull, TestTransfers, unreachable } from './testing/test-transfers.ts';

const minuteMs = 60_000;
/** Packages of high, normal and low priority: they take each other's places. */
const priorityOf: Readonly<Record<string, 1 | 2 | 3>> = {
  ...{ PS100001: 1, PS100002: 2, PS100003: 3, PS100004: 2 },
};
const packagesMax = 2;
const closed: TransferControls = {
  schedule: { timeZone: 'UTC', hours: Array.from({ length: hoursOfWeek }, () => 'closed') },
};
const letters = ['A', 'B', 'C', 'D', 'E', 'F', 'G'];

describe('Package Transfer Manager, whatever happens', () => {
  let test: TestTransfers;

  beforeEach(async function () {
    this.timeout(10_000);
    test = await TestTransfers.open();
    await test.addDistributionPoints(...letters);
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  const addJob = (jobSerial: number, facts: Partial<DistributionJob> = {}) =>
    test.addJob({ jobSerial, dpId: 'A', ...facts });

  it('keeps its promises whatever happens in whatever order', async () => {
    for (let seed = 1; seed <= 8; seed++) await randomLife(seed);
  });

  /** Random events and crashes; then everything succeeds, and every job has ended exactly once. */
  async function randomLife(seed: number): Promise<void> {
    const random = new SeededRandom(seed);
    await test[Symbol.asyncDispose]();
    test = await TestTransfers.open();
    await test.addDistributionPoints(...letters);
    // Progress is written seldom: each write is a step of the clock, and there are hours of them.
    const live = async () => {
      await test.makeComponents({ packagesMax, progressWriteMs: 60 * minuteMs });
      await test.manager.start();
    };
    await live();
    const made: DistributionJob[] = [];
    const fail = () => random.pick([unreachable, peerFailed, () => new TypeError('a bug')])();
    const events: (() => Promise<void> | void)[] = [
      async () => {
        const packageId = random.pick(['PS100001', 'PS100002', 'PS100003', 'PS100004']);
        const dpId = random.pick(['A', 'B', 'C']);
        const action = random.pick(['add', 'remove', 'redistribute'] as const);
        const jobSerial = made.length + 1;
        const priority = priorityOf[packageId] ?? 2;
        made.push(await addJob(jobSerial, { packageId, dpId, action, priority }));
      },
      () => pickRun(random)?.onWindowClosed(),
      () => test.setControls(random.pick(['A', 'B', 'C']), random.pick([{}, closed])),
      () => pickRun(random)?.finish('hash'),
      () => pickRun(random)?.fail(fail()),
      // A return that cannot be noted is no harm: the job is due later anyway.
      async () =>
        await test.watched
          .get(random.pick(['A', 'B', 'C']))?.()
          .catch(() => {}),
      () => test.clock.advance(random.below(20_000)),
      () => {
        test.writeFailures.push(siteDiskFull());
      },
      async () => {
        test.writeFailures.length = 0;
        await test.manager.stop();
        await live();
      },
    ];
    for (let step = 0; step < 60; step++) {
      await random.pick(events)();
      for (let turn = 0; turn < random.below(6); turn++) await new Promise(setImmediate);
      checkRuns(seed);
    }
    test.writeFailures.length = 0;
    for (const dpId of ['A', 'B', 'C']) await test.setControls(dpId, {});
    await test.until(async () => {
      for (const run of [...test.runs.values()]) run.finish('hash');
      await test.clock.advance(31 * minuteMs);
      return (await Promise.all(made.map(({ jobSerial }) => test.row(jobSerial)))).every(
        (row) => !row,
      );
    });
    await checkEnds(seed, made);
  }

  function pickRun(random: SeededRandom) {
    const runs = [...test.runs.values()];
    return runs.length > 0 ? random.pick(runs) : undefined;
  }

  function checkRuns(seed: number): void {
    const runs = [...test.runs.values()].filter(({ signal }) => !signal.aborted);
    const targets = runs.map(({ job }) => `${job.packageId}/${job.dpId}`);
    assert.equal(new Set(targets).size, targets.length, `seed ${seed}: two for one`);
    assert.ok(new Set(runs.map(({ job }) => job.packageId)).size <= packagesMax, `seed ${seed}`);
  }

  /** Each job once in the history and told once; of those for one target the newest is complete. */
  async function checkEnds(seed: number, made: readonly DistributionJob[]): Promise<void> {
    const told = (await test.pending('transfer-result')).sort((a, b) => a - b);
    const serials = made.map(({ jobSerial }) => jobSerial);
    assert.deepEqual(told, serials, `seed ${seed}: each result is told once`);
    for (const { jobSerial, packageId, dpId } of made) {
      const ended = await test.history(jobSerial);
      assert.ok(ended && ended.endedAtMs > 0, `seed ${seed}: job ${jobSerial}`);
      const isNewest = !made.some(
        (other) =>
          other.packageId === packageId && other.dpId === dpId && other.jobSerial > jobSerial,
      );
      if (isNewest) assert.equal(ended.state, 'complete', `seed ${seed}: job ${jobSerial}`);
    }
  }
}).timeout(30_000);
