import assert from 'node:assert/strict';
import { moved } from '../../shared/domain/distribution-job.ts';
import { HourOfWeek } from '../../shared/domain/hour-of-week.ts';
import type { QueuePlace } from '../../shared/domain/job-queue.ts';
import { toPackageId } from '../../shared/domain/package.ts';
import { hoursOfWeek } from '../../shared/domain/transfer-controls.ts';
import type { Job } from '../../shared/rpc/generated/waybill/v1/Job.ts';
import { methodDefinition } from '../../shared/rpc/service-definitions.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { collect } from '../../shared/testing/test-library.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { JobView } from './job-view.ts';
import { PullRates } from './pull-rates.ts';
import { TestTransfers } from './testing/test-transfers.ts';
import { TransferPermits } from './transfer-permits.ts';
import { TransferProgress } from './transfer-progress.ts';

const all = { packageId: '', dpId: '', history: false, limit: 0 };
const serials = (jobs: readonly Job[]) => jobs.map(({ jobSerial }) => Number(jobSerial));

describe('job view', () => {
  let test: TestTransfers;
  let view: JobView;
  let progressOf: Map<number, TransferProgress>;
  let hindranceOf: Map<number, string>;
  let waiting: Map<number, QueuePlace>;
  let controller: AbortController;
  let holdReason: string;
  let arbiter: TransferArbiter;
  let decided: () => void;

  beforeEach(async function () {
    this.timeout(10_000);
    test = await TestTransfers.open();
    progressOf = new Map();
    hindranceOf = new Map();
    waiting = new Map();
    holdReason = '';
    decided = () => {};
    controller = new AbortController();
    arbiter = new TransferArbiter(test.clock);
    const transferControls = {
      passagesToDp: (dpId: string) => [`dp/${dpId}`],
      onChanged: () => () => {},
    };
    const permits = new TransferPermits({ arbiter, transferControls });
    const transfers = {
      etaMs: permits.etaMs.bind(permits),
      progressOf: (serial: number) => progressOf.get(serial),
      hindranceOf: (serial: number) => hindranceOf.get(serial),
      waitOf: (serial: number) => waiting.get(serial),
      placeOf: (serial: number) => waiting.get(serial),
      onDecided: (listener: () => void) => {
        decided = listener;
        return () => {
          decided = () => {};
        };
      },
      get holdReason() {
        return holdReason;
      },
    };
    const { jobs, store, clock } = test;
    view = new JobView({ jobs, transfers, rates: new PullRates({ jobs, clock }), store, clock });
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  async function addJobs(...facts: Parameters<TestTransfers['addJob']>[0][]): Promise<void> {
    for (const [index, fact] of facts.entries())
      await test.addJob({ jobSerial: index + 1, ...fact });
    await collect(test.jobs.takeNotified());
  }

  async function start(jobSerial: number): Promise<void> {
    await test.jobs.started(moved(test.jobs.get(jobSerial)!, 'started', { updatedAtMs: 1 }));
  }

  async function end(jobSerial: number): Promise<void> {
    if (test.jobs.get(jobSerial)?.state === 'pending') await start(jobSerial);
    await test.jobs.end(test.jobs.get(jobSerial)!, 'complete', { reason: '' });
  }

  it('lists open jobs in queue order, all or some (ADM-2)', async () => {
    await addJobs(
      { priority: 3, dpId: 'A' },
      { priority: 1, dpId: 'B' },
      { priority: 2, dpId: 'A', packageId: 'PS100002' },
    );
    assert.deepEqual(serials(await collect(view.list(all))), [2, 3, 1]);
    assert.deepEqual(serials(await collect(view.list({ ...all, dpId: 'A' }))), [3, 1]);
    assert.deepEqual(serials(await collect(view.list({ ...all, packageId: 'PS100001' }))), [2, 1]);
    assert.deepEqual(serials(await collect(view.list({ ...all, limit: 2 }))), [2, 3]);
  });

  it('shows a job that a pull DP has with its send action, rate and time left (ADM-2, PULL-3)', async () => {
    await addJobs({ dpId: 'A', totalBytes: 4_000, remainingBytes: 4_000 });
    await start(1);
    const facts = { reason: '', restartAtMs: 7 };
    const progress = (remainingBytes: number) =>
      test.jobs.changed(
        1,
        (job) => test.jobs.withPullDp({ ...job, remainingBytes, pollCount: 3 }, facts),
        [],
      );
    await progress(4_000);
    await test.clock.advance(1_000);
    await progress(3_000);
    const [job] = await collect(view.list(all));
    assert.equal(job?.sendAction, 'PullQueryResultAction');
    assert.deepEqual([job?.pollCount, job?.remainingBytes], [3, 3_000]);
    assert.deepEqual([job?.bytesPerSecond, job?.etaMs], [1_000, 3_000]);
    assert.equal(job?.waitingReason, '');
    await end(1);
    const [ended] = await collect(view.list({ ...all, history: true }));
    assert.equal(ended?.sendAction, undefined);
  });

  it('lists ended jobs, newest first, as many as asked for', async () => {
    await addJobs({ dpId: 'A' }, { dpId: 'B' }, { dpId: 'C' }, { dpId: 'D' });
    for (const jobSerial of [1, 2, 4]) await end(jobSerial);
    const history = { ...all, history: true };
    assert.deepEqual(serials(await collect(view.list(history))), [4, 2, 1]);
    assert.deepEqual(serials(await collect(view.list({ ...history, limit: 2 }))), [4, 2]);
    assert.deepEqual(serials(await collect(view.list({ ...history, dpId: 'B' }))), [2]);
    assert.deepEqual(serials(await collect(view.list(all))), [3]);
  });

  it('says the place in the queue and why a job waits', async () => {
    await addJobs({ dpId: 'A', waitingReason: 'dp-unreachable' }, { dpId: 'B' });
    waiting.set(2, { place: 4, waitingReason: 'slot' });
    const [first, second] = await collect(view.list(all));
    assert.deepEqual([first?.waitingReason, first?.queuePlace], ['dp-unreachable', 0]);
    assert.deepEqual([second?.waitingReason, second?.queuePlace], ['slot', 4]);
  });

  it('says no reason of the queue, which may lag, of a job that runs', async () => {
    await addJobs({});
    await start(1);
    waiting.set(1, { place: 1, waitingReason: 'disk-full-at-dp' });
    const [job] = await collect(view.list(all));
    assert.deepEqual(
      [job?.state, job?.waitingReason, job?.queuePlace],
      ['JOB_STATE_STARTED', '', 0],
    );
  });

  it('says why no job is begun at all, of jobs that do not run', async () => {
    await addJobs({ dpId: 'A', reason: 'its own' }, { dpId: 'B' });
    holdReason = 'the disk of the site is full';
    const progress = new TransferProgress({
      monotonicMs: () => 0,
      onChange: () => {},
      job: testJob(),
    });
    progressOf.set(2, progress);
    const jobs = await collect(view.list(all));
    assert.deepEqual(
      jobs.map(({ reason }) => reason),
      ['the disk of the site is full', ''],
    );
  });

  it('shows how far a running job is, as soon as it is known', async () => {
    await addJobs({ totalBytes: 900, remainingBytes: 900, bytesSent: 50 });
    const job = testJob({ totalBytes: 900, remainingBytes: 900, bytesSent: 50 });
    let nowMs = 0;
    const progress = new TransferProgress({ monotonicMs: () => nowMs, onChange: () => {}, job });
    progressOf.set(1, progress);
    const [unknown] = await collect(view.list(all));
    assert.deepEqual([unknown?.totalBytes, unknown?.remainingBytes], [900, 900]);
    progress.expect(800);
    progress.sent(300);
    nowMs = 1_000;
    progress.acknowledged(200);
    const [known] = await collect(view.list(all));
    assert.deepEqual(
      [
        known?.totalBytes,
        known?.remainingBytes,
        known?.bytesSent,
        known?.bytesPerSecond,
        known?.etaMs,
      ],
      [800, 600, 350, 200, 3_000],
    );
  });

  it('says that a job is in progress with the first bytes, before its row does', async () => {
    const job = testJob({ totalBytes: 900, remainingBytes: 400 });
    await addJobs({ totalBytes: 900, remainingBytes: 400 });
    await start(1);
    const progress = new TransferProgress({ monotonicMs: () => 0, onChange: () => {}, job });
    progressOf.set(1, progress);
    progress.expect(400);
    const told = async () => {
      const [{ state, remainingBytes } = {}] = await collect(view.list(all));
      return [state, remainingBytes];
    };
    assert.deepEqual(await told(), ['JOB_STATE_STARTED', 400]);
    progress.acknowledged(100);
    assert.deepEqual(await told(), ['JOB_STATE_IN_PROGRESS', 300]);
    assert.equal(test.jobs.get(1)?.state, 'started');
  });

  it('reckons with the limit of the way before anything has left, pushed or pulled (PTM-6)', async () => {
    await addJobs({ dpId: 'A' }, { dpId: 'B', totalBytes: 4_000, remainingBytes: 4_000 });
    arbiter.setControls('dp/A', { limit: { kind: 'rate', bytesPerSecond: 100 } });
    arbiter.setControls('dp/B', { limit: { kind: 'rate', bytesPerSecond: 1_000 } });
    const job = test.jobs.get(1)!;
    let nowMs = 0;
    const progress = new TransferProgress({ monotonicMs: () => nowMs, onChange: () => {}, job });
    progressOf.set(1, progress);
    progress.expect(10_000);
    await start(2);
    const waits = { reason: '', restartAtMs: 7 };
    await test.jobs.changed(2, (one) => test.jobs.withPullDp(one, waits), []);
    const etas = async () => (await collect(view.list(all))).map(({ etaMs }) => etaMs);
    assert.deepEqual(await etas(), [100_000, 4_000]);
    nowMs = 200;
    progress.acknowledged(2_000);
    const [pushed] = await collect(view.list(all));
    assert.deepEqual([pushed?.bytesPerSecond, pushed?.etaMs], [10_000, 80_000], 'a burst');
  });

  it('goes by the rate from before while the window of a pull DP is closed (PTM-5, PULL-10)', async () => {
    await addJobs({ dpId: 'A', totalBytes: 400_000, remainingBytes: 400_000 });
    const nextHourMs = 3_600_000 - (test.clock.nowMs() % 3_600_000);
    const now = new HourOfWeek('UTC').at(test.clock.nowMs());
    const hours = Array.from({ length: hoursOfWeek }, (_, hour) =>
      hour === now ? 'closed' : 'open',
    );
    const schedule = { timeZone: 'UTC', hours: hours as ('open' | 'closed')[] };
    const limit = { kind: 'rate', bytesPerSecond: 2_000 } as const;
    arbiter.setControls('dp/A', { schedule, limit });
    await start(1);
    const says = (remainingBytes: number, isClosed: boolean) => {
      const waiting = isClosed && ({ waitingReason: 'window-closed' } as const);
      const facts = { reason: '', restartAtMs: 7, ...waiting };
      return test.jobs.changed(
        1,
        (job) => test.jobs.withPullDp({ ...job, remainingBytes }, facts),
        [],
      );
    };
    const speed = async () => {
      const [job] = await collect(view.list(all));
      return [job?.bytesPerSecond, job?.etaMs];
    };
    await says(400_000, false);
    for (let second = 1; second <= 100; second++) {
      await test.clock.advance(1_000);
      await says(400_000 - second * 1_000, false);
    }
    await says(300_000, true);
    assert.deepEqual(await speed(), [0, nextHourMs - 100_000 + 300_000]);
    await test.clock.advance(600_000);
    assert.deepEqual(await speed(), [0, nextHourMs - 700_000 + 300_000]);
    await test.clock.advance(nextHourMs - 700_000 + 20_000);
    await says(280_000, false);
    assert.deepEqual(await speed(), [1_000, 280_000]);
  });

  it('lets no limit of the way say how long a validation reads (PKG-8)', async () => {
    await addJobs({ dpId: 'A', action: 'validate' });
    arbiter.setControls('dp/A', { limit: { kind: 'rate', bytesPerSecond: 100 } });
    const job = test.jobs.get(1)!;
    let nowMs = 0;
    const progress = new TransferProgress({ monotonicMs: () => nowMs, onChange: () => {}, job });
    progressOf.set(1, progress);
    progress.expect(3_000);
    nowMs = 1_000;
    progress.acknowledged(1_000);
    const [reading] = await collect(view.list(all));
    assert.deepEqual([reading?.bytesPerSecond, reading?.etaMs], [1_000, 2_000]);
  });

  it('says what holds a running job back, and when the window of a waiting one opens (PTM-5, PTM-6)', async () => {
    await addJobs({ dpId: 'A' }, { dpId: 'B' }, { dpId: 'C' });
    await start(1);
    const job = test.jobs.get(1)!;
    progressOf.set(1, new TransferProgress({ monotonicMs: () => 0, onChange: () => {}, job }));
    hindranceOf.set(1, 'The limit of A holds it back');
    const closed = { waitingReason: 'window-closed' } as const;
    waiting.set(2, { place: 1, ...closed, opensAtMs: Date.UTC(2026, 2, 29, 1) });
    waiting.set(3, { place: 2, ...closed });
    const listed = await collect(view.list(all));
    assert.deepEqual(
      listed.map(({ waitingReason, reason }) => [waitingReason, reason]),
      [
        ['rate', 'The limit of A holds it back'],
        ['window-closed', 'Its window opens at 2026-03-29 01:00:00 UTC'],
        ['window-closed', 'Its window never opens'],
      ],
    );
    hindranceOf.clear();
    const [free] = await collect(view.list(all));
    assert.deepEqual([free?.waitingReason, free?.reason], ['', '']);
  });

  it('makes messages the wire takes, for every action and state', async () => {
    await addJobs(
      { dpId: 'A' },
      { dpId: 'B', action: 'redistribute' },
      { dpId: 'C', action: 'remove' },
    );
    await start(3);
    const { responseSerialize, responseDeserialize } = methodDefinition('Admin', 'listJobs');
    const jobs = await collect(view.list(all));
    const read = jobs.map((job) => responseDeserialize(responseSerialize(job)) as Job);
    assert.deepEqual(
      read.map(({ action, state, priority }) => [action, state, priority]),
      [
        ['JOB_ACTION_ADD', 'JOB_STATE_PENDING', 'PRIORITY_NORMAL'],
        ['JOB_ACTION_REDISTRIBUTE', 'JOB_STATE_PENDING', 'PRIORITY_NORMAL'],
        ['JOB_ACTION_REMOVE', 'JOB_STATE_STARTED', 'PRIORITY_NORMAL'],
      ],
    );
    assert.deepEqual(serials(read), [1, 2, 3]);
  });

  it('watches: all open jobs, then every change, the end once more with its state (ADM-2)', async () => {
    await addJobs({ dpId: 'A' }, { dpId: 'B' });
    await start(1);
    const seen: string[] = [];
    const watching = (async () => {
      for await (const job of view.watch(all, controller.signal)) {
        seen.push(`${job.jobSerial} ${job.state}`);
      }
    })();
    await test.until(() => seen.length === 2);
    await end(1);
    await test.until(() => seen.length === 3);
    assert.deepEqual(seen, ['1 JOB_STATE_STARTED', '2 JOB_STATE_PENDING', '1 JOB_STATE_COMPLETE']);
    controller.abort();
    await watching;
  });

  it('tells of one job four times a second at most, and always of its last change', async () => {
    await addJobs({ dpId: 'A' });
    await start(1);
    const seen: string[] = [];
    const watching = (async () => {
      for await (const job of view.watch(all, controller.signal)) seen.push(String(job.state));
    })();
    await test.until(() => seen.length === 1);
    test.jobs.touched(1);
    await test.until(() => seen.length === 2 && test.clock.sleeperCount === 1);
    for (let time = 0; time < 50; time++) test.jobs.touched(1);
    await end(1);
    assert.equal(seen.length, 2);
    await test.clock.advance(249);
    assert.equal(seen.length, 2);
    await test.clock.advance(1);
    await test.until(() => seen.length === 3);
    assert.equal(seen[2], 'JOB_STATE_COMPLETE');
    controller.abort();
    await watching;
  });

  it('tells who looks on why jobs wait, though no row tells it (ADM-2, PTM-5)', async () => {
    await addJobs({ dpId: 'A' }, { dpId: 'B' }, { dpId: 'C' });
    await start(3);
    waiting.set(3, { place: 3, waitingReason: 'slot' });
    waiting.set(1, { place: 1, waitingReason: 'slot' });
    waiting.set(2, { place: 2, waitingReason: 'slot' });
    const seen: string[] = [];
    const watching = (async () => {
      for await (const job of view.watch(all, controller.signal)) {
        seen.push(`${job.jobSerial} ${job.waitingReason}`);
      }
    })();
    await test.until(() => seen.length === 3);
    decided();
    await test.until(() => test.clock.sleeperCount === 1);
    assert.equal(seen.length, 3, 'nothing is new');
    waiting.set(2, { place: 1, waitingReason: 'window-closed', opensAtMs: 9 });
    // The queue does not know yet that it runs.
    waiting.set(3, { place: 3, waitingReason: 'window-closed', opensAtMs: 9 });
    decided();
    for (let round = 0; round < 4; round++) {
      await test.clock.advance(250);
      for (let turn = 0; turn < 9; turn++) await new Promise(setImmediate);
    }
    assert.deepEqual(seen.slice(3), ['2 window-closed']);
    controller.abort();
    await watching;
  });

  it('lists more than a page of jobs, each once, in order', async () => {
    const jobs = Array.from({ length: 2_500 }, (_, n) =>
      testJob({ jobSerial: n + 1, packageId: toPackageId('PS1', n), dpId: 'A' }),
    );
    const rows = test.store.records(keySpaces.distributionJobs);
    const changes = jobs.map((job) => rows.put(joinKey(job.jobSerial), job));
    await test.store.write(changes, { sync: false });
    await test.jobs.load();
    const listed = serials(await collect(view.list(all)));
    assert.deepEqual(
      listed,
      jobs.map(({ jobSerial }) => jobSerial),
    );
  });

  it('watches only what was asked for, and leaves nothing behind', async () => {
    await addJobs({ dpId: 'A' }, { dpId: 'B' });
    const watch = view.watch({ ...all, dpId: 'B' }, controller.signal);
    assert.equal(Number((await watch.next()).value?.jobSerial), 2);
    const next = watch.next();
    test.jobs.touched(1);
    test.jobs.touched(2);
    assert.equal(Number((await next).value?.jobSerial), 2);
    controller.abort();
    assert.equal((await watch.next()).done, true);
    test.jobs.touched(2);
  });
}).timeout(10_000);
