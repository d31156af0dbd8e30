import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import {
  packageId,
  refusedWith,
  TestPullDp,
  testVersion,
  until,
  untilAborted,
} from './testing/test-pull-dp.ts';

const exhausted = () =>
  new WaybillError({ code: 'PULL_SOURCES_EXHAUSTED', packageId, reason: 'nobody has it' });
const diskFull = () =>
  new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 1, neededBytes: 2 });
const lied = () =>
  new WaybillError({ code: 'PULL_SOURCE_LIED', source: 'DP', fileHash: 'ab', reason: 'wrong' });

describe('pull DP', () => {
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

  it('fetches, commits, then tells that it has succeeded (PULL-4, PULL-8)', async () => {
    const version = testVersion(1, 2);
    await test.notify(version, 7);
    await test.done();
    const messages = await test.messages();
    assert.deepEqual(
      messages.map(({ state }) => state),
      ['started', 'progress', 'downloaded', 'success'],
    );
    const last = messages.at(-1);
    assert.equal(last?.packageHash, version.packageHash);
    assert.equal(last?.percent, 100);
    assert.deepEqual([last?.doneBytes, last?.totalBytes, last?.receivedBytes], [2000, 2000, 2000]);
    assert.equal(test.pullDp.receivedBytes, 2000);
    assert.deepEqual(test.pullDp.jobCounts, { fetching: 0, waiting: 0 });
    assert.equal(last?.dpId, 'PS1DP1');
    assert.equal(test.receiver.commitCount, 1);
    assert.equal(test.fetcher.endCount, 1);
  });

  it('takes each content through all its states, each move a line of the log (PULL-4)', async () => {
    await test.notify(testVersion(1, 2), 1);
    await test.done();
    const moves = (contentId: string) =>
      test.log.lines
        .filter((line) => line.msg === 'Content job moved' && line.contentId === contentId)
        .map((line) => `${line.from} → ${line.to}`);
    const expected = [
      'not-started → downloading-signature',
      'downloading-signature → signature-downloaded',
      'signature-downloaded → downloading',
      'downloading → downloaded',
      'downloaded → si-applied',
      'si-applied → succeeded',
    ];
    assert.deepEqual(moves(`${packageId}.1.0`), expected);
    assert.deepEqual(moves(`${packageId}.1.1`), expected);
  });

  it('writes every file anew for a redistribution (PULL-6)', async () => {
    await test.notify(testVersion(), 1, { action: 'redistribute' });
    await test.done();
    assert.deepEqual(
      test.receiver.begun.map(({ redistribute }) => redistribute),
      [true, true],
    );
  });

  it('succeeds only when all contents have (PULL-5)', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    test.fetcher.scripts.set(packageId, async ({ observer, action, bringAll }) => {
      const [first] = action.version.contents;
      await observer.contentState(first!.contentId, 'signature-downloaded');
      await observer.contentState(first!.contentId, 'downloaded');
      await held;
      // What was here of the first is lost: it begins anew.
      await bringAll();
    });
    await test.notify(testVersion(1, 2), 1);
    await until(() => test.jobs.get(packageId)?.contents[0]?.state === 'downloaded');
    assert.equal((await test.pullDp.query({ packageId, jobSerial: 1 })).state, 'not-started');
    assert.equal(test.receiver.commitCount, 0);
    release();
    await test.done();
    assert.equal(test.receiver.commitCount, 1);
  });

  it('stops with a job that is suspended, tells nobody, and begins it again when notified (ADM-2)', async () => {
    let runCount = 0;
    test.fetcher.scripts.set(packageId, async ({ signal, bringAll }) => {
      runCount += 1;
      if (runCount > 1) return bringAll();
      await untilAborted(signal);
    });
    const version = testVersion();
    await test.notify(version, 3);
    await until(() => runCount === 1);
    await test.pullDp.suspend({ packageId, jobSerial: 2 });
    assert.ok(test.jobs.get(packageId), 'another job is meant');
    await test.pullDp.suspend({ packageId, jobSerial: 3 });
    await test.pullDp.suspend({ packageId, jobSerial: 3 });
    assert.equal(test.jobs.get(packageId), undefined);
    assert.deepEqual(
      (await test.messages()).map(({ state }) => state),
      ['started'],
    );
    await test.notify(version, 3);
    await test.done();
    assert.equal((await test.messages()).at(-1)?.state, 'success');
    assert.equal(runCount, 2);
  });

  it('answers a query with how far it is and how it ended (PULL-3)', async () => {
    test.fetcher.scripts.set(packageId, async ({ observer, signal }) => {
      await observer.contentState(`${packageId}.1`, 'signature-downloaded');
      await observer.contentState(`${packageId}.1`, 'downloading');
      observer.expected(1_000);
      observer.received(600);
      observer.done(500);
      await untilAborted(signal);
    });
    const action = { packageId, jobSerial: 3 };
    await assert.rejects(test.pullDp.query(action), refusedWith('PULL_JOB_UNKNOWN'));
    await test.notify(testVersion(), 3);
    await until(() => test.jobs.get(packageId)?.contents[0]?.state === 'downloading');
    const report = await test.pullDp.query(action);
    assert.deepEqual(report, {
      state: 'downloading',
      packageHash: '',
      ...{ doneBytes: 500, totalBytes: 1_000, receivedBytes: 600 },
    });
    await assert.rejects(
      test.pullDp.query({ packageId, jobSerial: 4 }),
      refusedWith('PULL_JOB_UNKNOWN'),
    );
    await test.pullDp.actionAdmitted({ packageId, jobSerial: 4 });
    assert.equal((await test.pullDp.query(action)).state, 'cancelled');
  });

  it('says of no job that it has succeeded before its commit is durable (PULL-4, PULL-5)', async () => {
    let commit = () => {};
    test.receiver.beforeCommit = () => new Promise((resolve) => (commit = resolve));
    await test.notify(testVersion(), 1);
    await until(() => test.receiver.isCommitting);
    const { state } = await test.pullDp.query({ packageId, jobSerial: 1 });
    assert.equal(state, 'si-applied');
    commit();
    await test.done();
  });

  it('leaves a job to the site when it pushes that very job, and says nothing (ROLE-2)', async () => {
    test.hold();
    await test.notify(testVersion(), 1);
    await until(() => test.fetcher.running.length === 1);
    await test.pullDp.actionAdmitted({ packageId, jobSerial: 1 });
    assert.equal(test.jobs.size, 0);
    await until(() => test.fetcher.running.length === 0);
    assert.deepEqual(await test.told(), ['PS100001:1 started']);
  });

  it('answers from the library when its last word was taken already (PULL-3)', async () => {
    const version = testVersion();
    await test.notify(version, 3);
    await test.done();
    for (const message of await test.messages()) await test.outbox.remove(message);
    const { state, packageHash } = await test.pullDp.query({ packageId, jobSerial: 3 });
    assert.deepEqual([state, packageHash], ['succeeded', version.packageHash]);
  });

  it('runs as many jobs at once as it was told, by priority, then age (PULL-10)', async () => {
    const ids = ['PS100001', 'PS100002', 'PS100003', 'PS100004'];
    for (const id of ids) test.hold(id);
    const priorities = [3, 3, 2, 1] as const;
    for (const [index, id] of ids.entries()) {
      const priority = priorities[index]!;
      await test.notify(testVersion(1, 1, id), index + 1, { packagesMax: 2, priority });
    }
    await until(() => test.fetcher.running.length === 2);
    await test.stop();
    await test.start();
    await until(() => test.fetcher.running.length === 2);
    assert.deepEqual(test.fetcher.running, ['PS100004', 'PS100003']);
    assert.deepEqual(test.pullDp.jobCounts, { fetching: 2, waiting: 2 });
  });

  it('gives the turn of a less urgent job to a more urgent one, which then goes on (PTM-3)', async () => {
    const urgent = 'PS100002';
    test.hold();
    await test.notify(testVersion(), 1, { packagesMax: 1, priority: 2 });
    await until(() => test.fetcher.running.length === 1);
    await test.notify(testVersion(1, 1, urgent), 2, { packagesMax: 1, priority: 1 });
    await until(() => test.jobs.get(urgent) === undefined);
    await until(() => test.fetcher.running.length === 1);
    assert.deepEqual(test.fetcher.running, [packageId]);
    assert.deepEqual((await test.told()).at(-1), `${urgent}:2 success`);
  });

  it('runs fewer or more jobs as soon as it is told so (PULL-10)', async () => {
    const second = 'PS100002';
    for (const id of [packageId, second]) test.hold(id);
    await test.notify(testVersion(), 1, { packagesMax: 1 });
    await test.notify(testVersion(1, 1, second), 2, { packagesMax: 1 });
    await until(() => test.fetcher.running.length === 1);
    await test.pullDp.setPackagesMax(2);
    await until(() => test.fetcher.running.length === 2);
    await test.pullDp.setPackagesMax(1);
    await until(() => test.fetcher.running.length === 1);
    assert.deepEqual(test.fetcher.running, [packageId]);
    await test.stop();
    await test.start();
    assert.equal(test.settings.packagesMax, 1, 'also after a restart');
  });

  it('lets others go on while a job waits for its sources, and warns once (PULL-7, PULL-8)', async () => {
    const second = 'PS100002';
    test.hold(second);
    let resume = () => {};
    const resumed = new Promise<void>((resolve) => {
      resume = resolve;
    });
    test.fetcher.scripts.set(packageId, async ({ observer, bringAll }) => {
      observer.waiting(exhausted(), 5_000);
      observer.resumed();
      observer.waiting(exhausted(), 6_000);
      await resumed;
      observer.resumed();
      await bringAll();
    });
    await test.notify(testVersion(), 1, { packagesMax: 1 });
    await test.notify(testVersion(1, 1, second), 2, { packagesMax: 1 });
    await until(() => test.fetcher.running.length === 2);
    await until(() => test.jobs.get(packageId)?.restartAtMs === 6_000);
    assert.equal(test.jobs.get(packageId)?.error?.code, 'PULL_SOURCES_EXHAUSTED');
    const warnings = (await test.messages()).filter(({ state }) => state === 'warning');
    assert.deepEqual(
      warnings.map(({ error }) => error?.code),
      ['PULL_SOURCES_EXHAUSTED'],
    );
    // Its turn was taken meanwhile: it goes on when the other is over.
    test.fetcher.scripts.set(packageId, ({ bringAll }) => bringAll());
    resume();
    await test.pullDp.actionAdmitted({ packageId: second, jobSerial: 3 });
    await test.done();
    assert.equal((await test.told()).at(-1), `${packageId}:1 success`);
    assert.equal(test.jobs.get(packageId), undefined);
  });

  it('waits for room and goes on by itself', async () => {
    test.fetcher.scripts.set(packageId, async ({ bringAll }) => {
      test.fetcher.scripts.clear();
      await bringAll();
      throw diskFull();
    });
    await test.notify(testVersion(), 1);
    await until(() => test.clock.sleeperCount === 1);
    assert.equal(test.jobs.get(packageId)?.jobSerial, 1);
    await test.clock.advance(1_500);
    await test.done();
    const states = (await test.messages()).map(({ state }) => state);
    assert.deepEqual(
      states.filter((state) => state !== 'progress'),
      ['started', 'warning', 'downloaded', 'success'],
    );
  });

  it('tells of a source that lied, once, and names it (PULL-7)', async () => {
    test.fetcher.scripts.set(packageId, async ({ observer, sources, bringAll }) => {
      observer.lied(sources[0]!, lied());
      observer.lied(sources[0]!, lied());
      await bringAll();
    });
    await test.notify(testVersion(), 1);
    await test.done();
    const warnings = (await test.messages()).filter(({ state }) => state === 'warning');
    assert.deepEqual(
      warnings.map((one) => [one.error?.code, one.source]),
      [['PULL_SOURCE_LIED', 'waybill://dp/PS1DP2']],
    );
  });

  it('looks again when files were lost before the commit, and fails when that goes on', async () => {
    const incomplete = () =>
      new WaybillError({ code: 'CONTENT_INCOMPLETE', packageId, missingFiles: 1 });
    test.receiver.commitFailures.push(incomplete());
    await test.notify(testVersion(), 1);
    await until(() => test.clock.sleeperCount === 1);
    await test.clock.advance(2_000);
    await test.done();
    assert.equal((await test.told()).at(-1), `${packageId}:1 success`);
    test.receiver.commitFailures.push(...Array.from({ length: 6 }, incomplete));
    await test.notify(testVersion(2), 2);
    for (let tries = 0; tries < 5; tries++) {
      await until(() => test.clock.sleeperCount === 1);
      await test.clock.advance(30_000);
    }
    await test.done();
    const last = (await test.messages()).at(-1);
    assert.deepEqual([last?.state, last?.error?.code], ['failure', 'CONTENT_INCOMPLETE']);
  });

  it('ends with a failure what nobody can mend (PULL-8)', async () => {
    test.fetcher.scripts.set(packageId, async () => {
      throw new WaybillError({ code: 'VERSION_DOWNGRADE', packageId, offered: 1, held: 2 });
    });
    await test.notify(testVersion(), 1);
    await test.done();
    const last = (await test.messages()).at(-1);
    assert.deepEqual([last?.state, last?.error?.code], ['failure', 'VERSION_DOWNGRADE']);
    assert.equal(test.receiver.commitCount, 0);
    assert.equal((await test.pullDp.query({ packageId, jobSerial: 1 })).state, 'failed');
  });

  it('never counts as done what has another hash than was promised', async () => {
    test.receiver.commit = async () => 'ff'.repeat(32);
    await test.notify(testVersion(), 1);
    for (let tries = 0; tries < 5; tries++) {
      await until(() => test.clock.sleeperCount === 1);
      await test.clock.advance(30_000);
    }
    await test.done();
    assert.equal((await test.told()).at(-1), `${packageId}:1 failure`);
  });

  it('is cancelled by what the site pushes or removes (ROLE-2)', async () => {
    test.hold();
    await test.notify(testVersion(), 1);
    await until(() => test.fetcher.running.length === 1);
    await test.pullDp.actionAdmitted({ packageId: 'PS100009', jobSerial: 2 });
    assert.equal(test.jobs.size, 1);
    await test.pullDp.actionAdmitted({ packageId, jobSerial: 2 });
    await until(() => test.fetcher.running.length === 0);
    assert.deepEqual(await test.told(), [`${packageId}:1 started`, `${packageId}:1 cancelled`]);
  });

  it('finds out by itself that it was overtaken (ROLE-2)', async () => {
    test.hold();
    await test.notify(testVersion(), 1);
    await until(() => test.fetcher.running.length === 1);
    await test.stop();
    test.receiver.newest.set(packageId, 2);
    await test.start();
    await test.done();
    assert.equal((await test.told()).at(-1), `${packageId}:1 cancelled`);
  });

  it('tells that it waits again for the same, a minute later at the soonest (PULL-7, PULL-8)', async () => {
    test.fetcher.scripts.set(packageId, async ({ observer, signal }) => {
      for (let round = 0; round < 3; round++) {
        observer.waiting(exhausted(), 0);
        observer.waiting(exhausted(), 0);
        observer.resumed();
        await test.clock.sleep(40_000, signal);
      }
      await untilAborted(signal);
    });
    await test.notify(testVersion(), 1);
    for (let round = 0; round < 3; round++) {
      await until(() => test.clock.sleeperCount === 1);
      await test.clock.advance(40_000);
    }
    await test.jobs.whenIdle();
    const warnings = (await test.told()).filter((one) => one.endsWith('warning'));
    assert.equal(warnings.length, 2);
  });

  it('looks again when the disk has a fault, then fails, and the agent goes on (PULL-7)', async () => {
    const fault = () => Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
    test.fetcher.scripts.set(packageId, async () => {
      throw fault();
    });
    await test.notify(testVersion(), 1);
    while (test.jobs.size > 0) {
      await until(() => test.clock.sleeperCount === 1 || test.jobs.size === 0);
      await test.clock.advance(30_000);
    }
    const last = (await test.messages()).at(-1);
    assert.deepEqual([last?.state, last?.error?.code], ['failure', 'PEER_FAILED']);
  });

  it('tells progress on whole percents, at most every two seconds a job (PULL-8)', async () => {
    test.fetcher.scripts.set(packageId, async ({ observer, signal }) => {
      await observer.contentState(`${packageId}.1`, 'signature-downloaded');
      await observer.contentState(`${packageId}.1`, 'downloading');
      observer.expected(100_000);
      for (let step = 0; step < 80; step++) {
        observer.done(500);
        await test.clock.sleep(100, signal);
      }
      await untilAborted(signal);
    });
    const percents: number[] = [];
    const { add } = test.outbox;
    test.outbox.add = (facts) => {
      if (facts.state === 'progress') percents.push(facts.percent);
      return add.call(test.outbox, facts);
    };
    await test.notify(testVersion(), 1);
    await until(() => test.clock.sleeperCount === 1);
    await test.clock.advance(10_000);
    await test.jobs.whenIdle();
    assert.deepEqual(percents, [1, 11, 21, 31]);
    assert.equal((await test.told()).filter((one) => one.endsWith('progress')).length, 1);
  });
}).timeout(10_000);
