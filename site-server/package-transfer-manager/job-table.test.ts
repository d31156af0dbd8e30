import assert from 'node:assert/strict';
import { type DistributionJob, moved } from '../../shared/domain/distribution-job.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { collect } from '../../shared/testing/test-library.ts';
import { siteDiskFull, TestTransfers } from './testing/test-transfers.ts';
import { TransferProgress } from './transfer-progress.ts';

const serials = (jobs: Iterable<{ jobSerial: number }>) =>
  [...jobs].map(({ jobSerial }) => jobSerial);
/** The job as its first run begins. */
const firstStart = (job: DistributionJob) =>
  moved(job, 'started', { updatedAtMs: 1, startedAtMs: 1, tryCount: 1 });
const wait = {
  waitingReason: 'dp-unreachable',
  reason: 'it is off',
  restartAtMs: 9,
  isNews: true,
} as const;

describe('job table', () => {
  let test: TestTransfers;
  let progress: TransferProgress;

  beforeEach(async function () {
    this.timeout(10_000);
    test = await TestTransfers.open();
    progress = new TransferProgress({ monotonicMs: () => 0, onChange: () => {}, job: testJob() });
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  /** A job that has joined and runs. */
  async function runningJob(jobSerial = 1) {
    await test.addJob({ jobSerial });
    await collect(test.jobs.takeNotified());
    const started = firstStart(test.jobs.get(jobSerial)!);
    await test.jobs.started(started);
    await test.jobs.begun(jobSerial);
    return started;
  }

  it('loads the open jobs, and joins those it is told of', async () => {
    await test.addJob({ jobSerial: 1 });
    await test.jobs.load();
    assert.deepEqual(serials(test.jobs.open()), [1]);
    await test.addJob({ jobSerial: 2, dpId: 'other' });
    assert.deepEqual(
      (await collect(test.jobs.takeNotified())).map(({ job }) => job.jobSerial),
      [1, 2],
    );
    assert.deepEqual(serials(test.jobs.open()), [1, 2]);
    assert.equal(test.jobs.countOf('pending'), 2);
    assert.deepEqual(await test.pending('distribution-job'), []);
  });

  it('handles a notification only when its job has been taken', async () => {
    await test.addJob({ jobSerial: 1 });
    const notified = test.jobs.takeNotified();
    await notified.next();
    assert.deepEqual(await test.pending('distribution-job'), [1]);
    await notified.return(undefined);
    assert.deepEqual(await test.pending('distribution-job'), [1], 'whoever took it failed');
    await collect(test.jobs.takeNotified());
    assert.deepEqual(await test.pending('distribution-job'), []);
  });

  it('lets the newer of two jobs for a package and DP take over', async () => {
    for (const jobSerial of [1, 2]) await test.addJob({ jobSerial });
    await test.addJob({ jobSerial: 3, dpId: 'other' });
    const notified = await collect(test.jobs.takeNotified());
    assert.deepEqual(
      notified.map(({ superseded }) => serials(superseded)),
      [[], [1], []],
    );
    assert.deepEqual(serials(test.jobs.superseded()), [1]);
  });

  it('supersedes a job that is heard of after the newer one', async () => {
    await test.addJob({ jobSerial: 2 });
    await collect(test.jobs.takeNotified());
    await test.addJob({ jobSerial: 1 });
    const [notified] = await collect(test.jobs.takeNotified());
    assert.deepEqual(serials(notified?.superseded ?? []), [1]);
  });

  it('says how far a job came with its last try', async () => {
    const job = await runningJob();
    assert.equal(test.jobs.percentOf(1), undefined);
    progress.expect(1_000);
    progress.sent(129);
    progress.acknowledged(129);
    await test.jobs.retryLater(job, progress, {
      ...{ waitingReason: 'dp-unreachable', reason: 'gone', restartAtMs: 1, isNews: true },
    });
    assert.equal(test.jobs.percentOf(1), 12);
    assert.equal(test.jobs.percentOf(2), undefined);
  });

  it('ends a job in one batch: row, history, notification, messages (PTM-8, DM-5)', async () => {
    const job = await runningJob();
    let batchCount = 0;
    test.store.onWritten((changes) => {
      batchCount += 1;
      const spaces = new Set(changes.map(({ space }) => space));
      assert.deepEqual([...spaces].sort(), [
        'counters',
        'distribution-jobs',
        'job-history',
        'package-notifications',
        'status-messages',
      ]);
    });
    await test.jobs.complete(job, progress, 'hash');
    assert.equal(batchCount, 1);
    assert.equal(await test.row(1), undefined);
    const ended = await test.history(1);
    assert.equal(ended?.state, 'complete');
    assert.equal(ended?.verifiedHash, 'hash');
    assert.equal(ended?.endedAtMs, test.clock.nowMs());
    assert.deepEqual(await test.pending('transfer-result'), [1]);
    assert.deepEqual(await test.messageIds(), [8204, 8200, 8210]);
    assert.deepEqual(serials(test.jobs.open()), []);
  });

  it('keeps a job open whose end could not be written, as it was', async () => {
    const job = await runningJob();
    const told: string[] = [];
    test.jobs.onChanged(({ state }) => told.push(state));
    test.writeFailures.push(siteDiskFull());
    const ending = test.jobs.end(job, 'failed', { reason: 'x' });
    assert.deepEqual(serials(test.jobs.open()), [1]);
    await assert.rejects(ending, (error) => isErrorWithCode(error, 'DISK_FULL'));
    assert.equal(test.jobs.get(1)?.state, 'started');
    assert.deepEqual([test.jobs.countOf('started'), test.jobs.endedCountOf('failed')], [1, 0]);
    assert.deepEqual(told, []);
    await test.jobs.end(job, 'failed', { reason: 'x' });
    assert.equal((await test.history(1))?.state, 'failed');
    assert.deepEqual([test.jobs.countOf('started'), test.jobs.endedCountOf('failed')], [0, 1]);
    assert.deepEqual(told, ['failed']);
  });

  it('ends a job once, however many ask', async () => {
    const job = await runningJob();
    await Promise.all([
      test.jobs.complete(job, progress, 'hash'),
      test.jobs.end(job, 'cancelled', { reason: 'too late' }),
    ]);
    await test.jobs.end(job, 'cancelled', { reason: 'much too late' });
    assert.equal((await test.history(1))?.state, 'complete');
    const counts = [test.jobs.endedCountOf('complete'), test.jobs.endedCountOf('cancelled')];
    assert.deepEqual(counts, [1, 0]);
    assert.deepEqual(await test.pending('transfer-result'), [1]);
  });

  it('writes nothing more of a job that is ending', async () => {
    const job = await runningJob();
    const ending = test.jobs.complete(job, progress, 'hash');
    await Promise.all([
      test.jobs.put(job),
      test.jobs.started(job),
      test.jobs.progressed(1, progress),
      test.jobs.retryLater(job, progress, wait),
    ]);
    await ending;
    assert.equal(await test.row(1), undefined);
    assert.equal(await test.jobs.retryLater(job, progress, wait), undefined);
    await test.jobs.put(job);
    assert.equal(await test.row(1), undefined);
    assert.deepEqual(serials(test.jobs.open()), []);
  });

  it('brings no job back that ends while others are told of it', async () => {
    const job = await runningJob();
    const key = joinKey(1);
    await test.store.write([test.notifier.notification('distribution-job', key)], { sync: false });
    const [notified] = await Promise.all([
      collect(test.jobs.takeNotified()),
      test.jobs.complete(job, progress, 'hash'),
    ]);
    assert.ok(notified.length <= 1);
    assert.deepEqual(serials(test.jobs.open()), []);
    await test.store.write([test.notifier.notification('distribution-job', key)], { sync: false });
    assert.deepEqual(await collect(test.jobs.takeNotified()), []);
    assert.deepEqual(serials(test.jobs.open()), []);
  });

  it('lets a job wait in one batch with its package status and the news (PTM-8)', async () => {
    const job = await runningJob();
    const waiting = await test.jobs.retryLater(job, progress, wait);
    assert.equal(waiting?.state, 'pending-restart');
    assert.deepEqual(await test.row(1), waiting);
    const status = await test.packages.getStatus('PS100001', 'PS1DP1');
    assert.equal(status?.state, 'install-retrying');
    assert.equal(status?.reason, 'it is off');
    assert.deepEqual(await test.messageIds(), [8204, 8203]);
    const again = moved(waiting!, 'started', { updatedAtMs: 2, tryCount: 2 });
    await test.jobs.started(again);
    await test.jobs.begun(1);
    await test.jobs.retryLater(again, progress, { ...wait, isNews: false });
    assert.deepEqual(await test.messageIds(), [8204, 8203], 'the same failure is told once');
  });

  it('counts no try that found a full disk', async () => {
    const job = await runningJob();
    const waiting = await test.jobs.retryLater(job, progress, {
      ...wait,
      waitingReason: 'disk-full-at-dp',
    });
    assert.equal(waiting?.tryCount, 0);
  });

  it('is as it was when a change could not be written', async () => {
    const job = await runningJob();
    const stateCounts = () => [test.jobs.countOf('started'), test.jobs.countOf('pending-restart')];
    test.writeFailures.push(siteDiskFull());
    await assert.rejects(test.jobs.retryLater(job, progress, wait));
    assert.equal(test.jobs.get(1)?.state, 'started');
    assert.deepEqual(stateCounts(), [1, 0]);
    assert.equal((await test.jobs.retryLater(job, progress, wait))?.state, 'pending-restart');
    assert.deepEqual(stateCounts(), [0, 1]);
  });

  it('writes how far a job is; what is not known yet leaves the row alone', async () => {
    await test.addJob({ jobSerial: 1, totalBytes: 900, remainingBytes: 900 });
    await collect(test.jobs.takeNotified());
    await test.jobs.started(moved(test.jobs.get(1)!, 'started', { updatedAtMs: 1 }));
    await test.jobs.progressed(1, progress);
    const unknown = await test.row(1);
    assert.deepEqual([unknown?.state, unknown?.totalBytes], ['started', 900]);
    progress.expect(500);
    progress.sent(300);
    progress.acknowledged(200);
    await test.jobs.progressed(1, progress);
    await test.jobs.progressed(1, progress);
    const known = await test.row(1);
    assert.deepEqual(
      [known?.state, known?.totalBytes, known?.remainingBytes, known?.bytesSent],
      ['in-progress', 500, 300, 300],
    );
    await test.jobs.complete(known!, progress, 'hash');
    const ended = await test.history(1);
    assert.deepEqual([ended?.totalBytes, ended?.remainingBytes], [500, 0]);
    assert.equal(ended?.bytesSent, 300);
  });

  it('reports the messages of each end (PTM-8)', async () => {
    const cases = [
      ['add', 'complete', [8204, 8200, 8210]],
      ['remove', 'complete', []],
      ['add', 'failed', [8204, 8203]],
      ['remove', 'failed', [9048]],
      ['add', 'cancelled', [8204]],
    ] as const;
    let jobSerial = 0;
    for (const [action, state, expected] of cases) {
      jobSerial += 1;
      const before = (await test.messageIds()).length;
      await test.addJob({ jobSerial, action });
      await collect(test.jobs.takeNotified());
      const started = firstStart(test.jobs.get(jobSerial)!);
      await test.jobs.started(started);
      if (action === 'add') await test.jobs.begun(jobSerial);
      await test.jobs.end(started, state, { reason: 'x' });
      assert.deepEqual((await test.messageIds()).slice(before), expected, `${action} ${state}`);
    }
    const rows = await collect(test.store.records(keySpaces.jobHistory).list());
    assert.equal(rows.length, cases.length);
  });

  it('tells listeners of every change until they leave', async () => {
    const told: string[] = [];
    const leave = test.jobs.onChanged(({ state }) => told.push(state));
    const job = await runningJob();
    test.jobs.touched(1);
    test.jobs.touched(99);
    await test.jobs.complete(job, progress, undefined);
    leave();
    await runningJob(2);
    assert.deepEqual(told, ['pending', 'started', 'started', 'started', 'complete']);
  });
}).timeout(10_000);
