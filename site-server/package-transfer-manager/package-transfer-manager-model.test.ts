import assert from 'node:assert/strict';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { hoursOfWeek, type TransferControls } from '../../shared/domain/transfer-controls.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import {
  type FakeRun,
  peerFailed,
  siteDiskFull,
  TestTransfers,
  unreachable,
} from './testing/test-transfers.ts';
import { letters } from './testing/transfers-ground.ts';

const minuteMs = 60_000;
/** Packages of high, normal and low priority: they take each other's places. */
const priorityOf: Readonly<Record<string, 1 | 2 | 3>> = {
  ...{ PS100001: 1, PS100002: 2, PS100003: 3, PS100004: 2 },
};
const packagesMax = 2;
const closed: TransferControls = {
  schedule: { timeZone: 'UTC', hours: Array.from({ length: hoursOfWeek }, () => 'closed') },
};

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
    const cancelled = new Set<number>();
    const fail = () => random.pick([unreachable, peerFailed, () => new TypeError('a bug')])();
    const events: (() => Promise<void> | void)[] = [
      async () => {
        const packageId = random.pick(['PS100001', 'PS100002', 'PS100003', 'PS100004']);
        const dpId = random.pick(['A', 'B', 'C']);
        const action = random.pick(['add', 'remove', 'redistribute'] as const);
        const priority = priorityOf[packageId] ?? 2;
        await test.packages.turn(packageId, async () => {
          const jobSerial = await test.nextSerial();
          made.push(await addJob(jobSerial, { packageId, dpId, action, priority }));
        });
      },
      () => pickRun(random)?.onWindowClosed(),
      () => test.setControls(random.pick(['A', 'B', 'C']), random.pick([{}, closed])),
      () => succeed(pickRun(random)),
      () => pickRun(random)?.fail(fail()),
      // A return that cannot be noted is no harm: the job is due later anyway.
      async () =>
        await test.watched
          .get(random.pick(['A', 'B', 'C']))?.()
          .catch(() => {}),
      () => test.clock.advance(random.below(20_000)),
      () => steer(random, made, cancelled),
      () => steer(random, made, cancelled),
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
      await test.steering.resume(await test.steering.select('resume', {}));
      for (const run of [...test.runs.values()]) succeed(run);
      await test.clock.advance(31 * minuteMs);
      const rows = await Promise.all(made.map(({ jobSerial }) => test.row(jobSerial)));
      return rows.every((row) => !row) && [...test.jobs.open()].length === 0;
    });
    await checkEnds(seed, made, cancelled);
  }

  function succeed(run: FakeRun | undefined): void {
    if (run?.job.action === 'cancel') run.hear();
    else run?.finish('hash');
  }

  /** What an administrator may say at any time; a full disk is told, and then nothing is done. */
  async function steer(
    random: SeededRandom,
    made: readonly DistributionJob[],
    cancelled: Set<number>,
  ): Promise<void> {
    const { steering } = test;
    if (made.length === 0) return;
    const dpIds = new Set([random.pick(made).dpId]);
    const verb = random.pick(['suspend', 'suspend', 'resume', 'run', 'move', 'cancel'] as const);
    const selected = await steering.select(verb, { dpIds });
    try {
      if (verb === 'suspend') await steering.suspend(selected);
      if (verb === 'resume') await steering.resume(selected);
      if (verb === 'run') await steering.runNow(selected);
      if (verb === 'move') await steering.move(selected, { kind: random.pick(['first', 'last']) });
      if (verb === 'cancel') {
        const over = new AbortController();
        const ended = steering.cancel(selected, over.signal);
        over.abort();
        for await (const _ of ended);
      }
    } catch (error) {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    }
    for (const { jobSerial } of selected) {
      if (verb === 'cancel' && (await test.history(jobSerial))?.cancellation)
        cancelled.add(jobSerial);
    }
  }

  function pickRun(random: SeededRandom) {
    const runs = [...test.runs.values()];
    return runs.length > 0 ? random.pick(runs) : undefined;
  }

  function checkRuns(seed: number): void {
    const running = [...test.runs.values()].filter(({ signal }) => !signal.aborted);
    // That a job was cancelled is told whatever is sent.
    const runs = running.filter(({ job }) => job.action !== 'cancel');
    const targets = runs.map(({ job }) => `${job.packageId}/${job.dpId}`);
    assert.equal(new Set(targets).size, targets.length, `seed ${seed}: two for one`);
    assert.ok(new Set(runs.map(({ job }) => job.packageId)).size <= packagesMax, `seed ${seed}`);
  }

  /**
   * Each job once in the history and told once; of those for one target the newest is complete, unless it
   * was cancelled; and whatever was cancelled stays so, and is confirmed.
   */
  async function checkEnds(
    seed: number,
    made: readonly DistributionJob[],
    cancelled: ReadonlySet<number>,
  ): Promise<void> {
    const told = (await test.pending('transfer-result')).sort((a, b) => a - b);
    assert.equal(new Set(told).size, told.length, `seed ${seed}: each result is told once`);
    const missing = made.filter(({ jobSerial }) => !told.includes(jobSerial));
    assert.deepEqual(missing, [], `seed ${seed}: each result is told`);
    for (const jobSerial of cancelled) {
      const { state, cancellation } = (await test.history(jobSerial)) ?? {};
      const expected = ['cancelled', { isConfirmed: true }];
      assert.deepEqual([state, cancellation], expected, `seed ${seed}: job ${jobSerial}`);
    }
    for (const { jobSerial, packageId, dpId } of made) {
      const ended = await test.history(jobSerial);
      assert.ok(ended && ended.endedAtMs > 0, `seed ${seed}: job ${jobSerial}`);
      const isNewest = !made.some(
        (other) =>
          other.packageId === packageId && other.dpId === dpId && other.jobSerial > jobSerial,
      );
      if (isNewest && !cancelled.has(jobSerial))
        assert.equal(ended.state, 'complete', `seed ${seed}: job ${jobSerial}`);
    }
  }
}).timeout(30_000);
