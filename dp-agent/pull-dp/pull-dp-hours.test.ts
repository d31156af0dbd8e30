import assert from 'node:assert/strict';
import { hoursOfWeek, type WindowLevel } from '../../shared/domain/transfer-controls.ts';
import { fetchingPassage } from '../../shared/domain/transfer-passage.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { packageId, TestPullDp, testVersion, until } from './testing/test-pull-dp.ts';

const hourMs = 3_600_000;

/** The fake clock begins on a Monday, 00:00 UTC; open but for these hours. */
function schedule(levels: Record<number, WindowLevel>) {
  const hours = Array.from({ length: hoursOfWeek }, (_, hour) => levels[hour] ?? 'open');
  return { schedule: { timeZone: 'UTC', hours } };
}

describe('hours of a pull DP (PTM-5, PULL-10)', () => {
  let directory: TemporaryDirectory;
  let test: TestPullDp;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    test = await TestPullDp.open(directory.path);
    await test.start();
  });
  afterEach(async () => {
    await test.close();
    await directory[Symbol.asyncDispose]();
  });

  const fetchIn = (levels: Record<number, WindowLevel>) =>
    test.arbiter.setControls(fetchingPassage, schedule(levels));
  const warnings = async () =>
    (await test.messages()).flatMap(({ state, error }) => (state === 'warning' ? [error] : []));

  it('keep a job waiting, which says until when, and let it go on when they open', async () => {
    fetchIn({ 0: 'closed' });
    await test.notify(testVersion(), 1);
    const opensAtMs = test.clock.nowMs() + hourMs;
    await until(() => test.jobs.get(packageId)?.restartAtMs === opensAtMs);
    assert.deepEqual(test.fetcher.running, []);
    const report = await test.pullDp.query({ packageId, jobSerial: 1 });
    assert.deepEqual(report.error, { code: 'CONTENT_WINDOW_CLOSED', opensAtMs });
    assert.deepEqual(await warnings(), [{ code: 'CONTENT_WINDOW_CLOSED', opensAtMs }]);
    await test.clock.advance(hourMs);
    await test.done();
    assert.equal((await test.told()).at(-1), `${packageId}:1 success`);
  });

  it('stop a job that runs within a second, and say that it goes on', async () => {
    test.hold();
    fetchIn({ 1: 'closed' });
    await test.notify(testVersion(), 1);
    await until(() => test.fetcher.running.length === 1);
    await test.clock.advance(hourMs - 1);
    assert.equal(test.fetcher.running.length, 1);
    await test.clock.advance(1_000);
    await until(() => test.jobs.get(packageId)?.error !== undefined);
    assert.deepEqual(test.fetcher.running, []);
    await test.clock.advance(hourMs);
    await until(() => test.fetcher.running.length === 1);
    assert.equal(test.jobs.get(packageId)?.error, undefined);
    const states = (await test.messages()).map(({ state }) => state);
    assert.deepEqual(states, ['started', 'warning', 'progress']);
  });

  it('let urgent packages pass in their hours, and what becomes urgent', async () => {
    const urgent = 'PS100002';
    fetchIn({ 0: 'high-only' });
    await test.notify(testVersion(), 1, { priority: 2 });
    await test.notify(testVersion(1, 1, urgent), 2, { priority: 1 });
    await until(() => test.jobs.get(urgent) === undefined);
    await until(() => test.jobs.get(packageId)?.error !== undefined);
    await test.notify(testVersion(), 1, { priority: 1 });
    await test.done();
    assert.deepEqual(test.fetcher.priorities.includes(1), true);
  });

  it('hold nothing back that an administrator lets run now (ADM-2)', async () => {
    fetchIn({ 0: 'closed', 1: 'closed' });
    await test.notify(testVersion(), 1);
    await until(() => test.jobs.get(packageId)?.error !== undefined);
    await test.notify(testVersion(), 1, { ignoresWindow: true });
    await test.done();
    assert.deepEqual(test.fetcher.ignoreWindows, [true]);
    assert.equal((await test.told()).at(-1), `${packageId}:1 success`);
  });

  it('do not stop one that was let run while they were open, nor after a crash', async () => {
    test.hold();
    fetchIn({ 1: 'closed' });
    await test.notify(testVersion(), 1);
    await until(() => test.fetcher.running.length === 1);
    await test.notify(testVersion(), 1, { ignoresWindow: true });
    await test.clock.advance(hourMs + 1_000);
    assert.equal(test.fetcher.running.length, 1);
    await test.crash();
    await test.start();
    await until(() => test.fetcher.running.length === 1);
    assert.deepEqual(test.fetcher.ignoreWindows, [false, true, true]);
  });

  it('say so once, whatever is notified meanwhile, and anew when they change', async () => {
    fetchIn({ 0: 'closed' });
    await test.notify(testVersion(), 1);
    await until(() => test.jobs.get(packageId)?.error !== undefined);
    await test.notify(testVersion(), 1);
    await test.notify(testVersion(1, 1, 'PS100002'), 2);
    await until(() => test.jobs.get('PS100002')?.error !== undefined);
    assert.equal((await warnings()).length, 2);
    fetchIn({ 0: 'closed', 1: 'closed' });
    const opensAtMs = test.clock.nowMs() + 2 * hourMs;
    await test.clock.advance(1_000);
    await until(() => test.jobs.get(packageId)?.restartAtMs === opensAtMs);
  });

  it('hold after a crash, and nothing is told twice', async () => {
    fetchIn({ 0: 'closed' });
    await test.notify(testVersion(), 1);
    await until(() => test.jobs.get(packageId)?.error !== undefined);
    await test.crash();
    await test.start();
    await test.clock.advance(1_000);
    assert.deepEqual(test.fetcher.running, []);
    assert.equal((await warnings()).length, 1);
  });

  it('let what is fetched be committed', async () => {
    let commit = () => {};
    test.receiver.beforeCommit = () =>
      new Promise((resolve) => {
        commit = resolve;
      });
    await test.notify(testVersion(), 1);
    await until(() => test.receiver.isCommitting);
    fetchIn({ 0: 'closed' });
    await test.clock.advance(1_000);
    commit();
    await test.done();
    assert.equal((await test.told()).at(-1), `${packageId}:1 success`);
  });
});
