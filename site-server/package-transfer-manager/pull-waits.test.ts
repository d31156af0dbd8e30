import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { toPackageId } from '../../shared/domain/package.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import {
  handOver,
  pullHash as hash,
  pullPackageId as packageId,
  pullReport as report,
  pullWord as word,
} from './testing/pull-words.ts';
import { unreachable } from './testing/test-transfers.ts';
import { openBeforeEach, test } from './testing/transfers-ground.ts';

const minuteMs = 60_000;

describe('jobs of pull DPs, while they wait', () => {
  openBeforeEach({ pull: ['P1', 'P2'] });

  const handedOver = (jobSerial?: number, locations?: () => Promise<Change[]>) =>
    handOver(test, jobSerial, locations);

  it('wait for a source, told once, looked for every 20 min, 30 times (PULL-2)', async () => {
    await test.manager.start();
    await test.addJob({ jobSerial: 1, dpId: 'P1', packageId });
    for (let look = 1; look <= 30; look++) {
      const [run] = await test.untilRunning(1);
      run?.fail(new WaybillError({ code: 'PULL_SOURCES_MISSING', packageId, dpId: 'P1' }));
      if (look === 30) break;
      const job = await test.untilState(1, 'pending-restart');
      assert.equal(job.waitingReason, 'no-source');
      assert.equal(job.restartAtMs, test.clock.nowMs() + 20 * minuteMs);
      await test.until(() => test.manager.placeOf(1)?.waitingReason === 'no-source');
      await test.clock.advance(20 * minuteMs);
    }
    await test.untilState(1, 'failed');
    assert.deepEqual(await test.messageIds(), [8212, 8203]);
  });

  it('go on at once when a source gets the content (PULL-2, DM-1)', async () => {
    await test.manager.start();
    await test.addJob({ jobSerial: 1, dpId: 'P1', packageId });
    const [run] = await test.untilRunning(1);
    run?.fail(new WaybillError({ code: 'PULL_SOURCES_MISSING', packageId, dpId: 'P1' }));
    await test.untilState(1, 'pending-restart');
    await test.clock.advance(1_000);
    assert.equal(test.runs.size, 0, 'there is none yet');
    test.notification.sourcesOf = async () => [];
    const contentIds = [`${packageId}.1`];
    const located = { packageId, dpId: 'S1', sourceVersion: 1, contentIds };
    await test.store.write(await test.contentMap.held(located), { sync: false });
    await test.untilRunning(1);
  });

  it('tell a DP that fetches of its new source (PULL-11)', async () => {
    await handedOver();
    const told: number[] = [];
    test.notification.sourcesOf = async () => [];
    const toldBefore: (string | undefined)[] = [];
    test.notification.sourcesChanged = async ({ job }) => {
      told.push(job.jobSerial);
      toldBefore.push(job.toldHash);
      return `told ${told.length}`;
    };
    const located = { packageId, dpId: 'S1', sourceVersion: 1, contentIds: [`${packageId}.1`] };
    await test.store.write(await test.contentMap.held(located), { sync: false });
    await test.until(() => told.length === 1);
    await test.store.write(await test.contentMap.held(located), { sync: false });
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.deepEqual(told, [1], 'not more than once a second');
    await test.clock.advance(1_000);
    await test.until(() => told.length === 2);
    assert.deepEqual(toldBefore, ['told', 'told 1'], 'the row knows what was told last');
    await test.until(async () => (await test.row(1))?.toldHash === 'told 2');
  });

  it('are not told to the DP any more when they ended meanwhile (PULL-11)', async () => {
    await handedOver();
    let toldCount = 0;
    test.notification.sourcesOf = async () => {
      await test.manager.heard(word({ state: 'success', packageHash: hash }), []);
      return [];
    };
    test.notification.sourcesChanged = async () => {
      toldCount += 1;
      return undefined;
    };
    const located = { packageId, dpId: 'S1', sourceVersion: 1, contentIds: [`${packageId}.1`] };
    await test.store.write(await test.contentMap.held(located), { sync: false });
    await test.untilState(1, 'complete');
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.equal(toldCount, 0);
  });

  it('go on when there is a source, though a DP that fetches does not answer when it is told (PULL-2)', async () => {
    await handedOver();
    let isAsked = false;
    test.notification.sourcesOf = async () => [];
    test.notification.sourcesChanged = ({ signal }) => {
      isAsked = true;
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    };
    const located = { packageId, dpId: 'S1', sourceVersion: 1, contentIds: [`${packageId}.1`] };
    await test.store.write(await test.contentMap.held(located), { sync: false });
    await test.until(() => isAsked);
    await test.addJob({ jobSerial: 2, dpId: 'P2', packageId });
    const [run] = await test.untilRunning(2);
    run?.fail(new WaybillError({ code: 'PULL_SOURCES_MISSING', packageId, dpId: 'P2' }));
    await test.untilState(2, 'pending-restart');
    await test.store.write(await test.contentMap.held(located), { sync: false });
    await test.clock.advance(1_000);
    await test.untilRunning(2);
  });

  it('are told of other sources when an administrator names some, not at a restart (PULL-1)', async () => {
    await handedOver();
    let toldCount = 0;
    test.notification.sourcesOf = async () => [];
    test.notification.sourcesChanged = async () => {
      toldCount += 1;
      return undefined;
    };
    await test.manager.stop();
    await test.makeComponents();
    await test.manager.start();
    await test.clock.advance(5_000);
    assert.equal(toldCount, 0);
    const pull = { sources: [{ dpId: 'P2', rank: 1 }], allowFallback: true, packagesMax: 5 };
    await test.hierarchy.set({ dpId: 'P1', pull });
    await test.until(() => toldCount === 1);
  });

  it('are asked for after 60 min, then every 60 min, 72 times, and have failed then (PULL-3)', async () => {
    await handedOver();
    let askedCount = 0;
    test.notification.query = async () => {
      askedCount += 1;
      throw unreachable();
    };
    await test.clock.advance(60 * minuteMs - 1);
    assert.equal(askedCount, 0);
    for (let poll = 1; poll <= 72; poll++) {
      await test.clock.advance(poll === 1 ? 1 : 60 * minuteMs);
      await test.until(() => askedCount === poll && test.jobs.get(1)?.pollCount === poll);
    }
    assert.equal(test.jobs.get(1)?.state, 'in-progress');
    await test.clock.advance(60 * minuteMs);
    const failed = await test.untilState(1, 'failed');
    assert.match(failed.reason, /P1 did not say how the job ended, asked 72 times/);
    assert.equal(askedCount, 72);
  });

  it('are asked for without end while the DP waits for its hours, and say so (PULL-10)', async () => {
    await test.makeComponents({ pull: { ...test.config.pull, pollCountMax: 3 } });
    await handedOver();
    let askedCount = 0;
    const facts = { opensAtMs: String(test.clock.nowMs() + 10_000 * minuteMs) };
    test.notification.query = async () => {
      askedCount += 1;
      return report({ error: { code: 'CONTENT_WINDOW_CLOSED', facts } });
    };
    for (let poll = 1; poll <= 6; poll++) {
      await test.clock.advance(60 * minuteMs);
      await test.until(() => askedCount >= poll && test.jobs.get(1)?.pollCount === 0);
    }
    const job = test.jobs.get(1);
    assert.deepEqual([job?.state, job?.waitingReason], ['in-progress', 'window-closed']);
    assert.match(job?.reason ?? '', /^Its window opens at 2024-.* UTC$/);
  });

  it('are asked for though another DP does not answer for its many jobs (PULL-3)', async () => {
    await test.manager.start();
    const serials = Array.from({ length: 12 }, (_, index) => index + 1);
    for (const jobSerial of serials) {
      const dpId = jobSerial === 12 ? 'P2' : 'P1';
      const added = { jobSerial, dpId, packageId: toPackageId('PS1', jobSerial) };
      await test.addJob(added);
      const [run] = await test.untilRunning(jobSerial);
      run?.handOver();
      await test.until(() => test.jobs.get(jobSerial)?.sendAction !== undefined);
    }
    const asked: string[] = [];
    test.notification.query = ({ job: { dpId }, signal }) => {
      asked.push(dpId);
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      );
    };
    await test.clock.advance(60 * minuteMs);
    await test.until(() => asked.includes('P2'));
    assert.deepEqual(asked, ['P1', 'P2'], 'one question to each DP at a time');
  });

  it('are put off by what the DP says: only a silent one is asked (PULL-3)', async () => {
    await handedOver();
    let askedCount = 0;
    test.notification.query = async () => {
      askedCount += 1;
      return report({});
    };
    await test.clock.advance(59 * minuteMs);
    await test.manager.heard(word({}), []);
    await test.clock.advance(59 * minuteMs);
    assert.equal(askedCount, 0);
    await test.clock.advance(2 * minuteMs);
    await test.until(() => askedCount === 1);
  });

  it('believe an answer as they do a state message, and notify a DP that knows nothing (PULL-3)', async () => {
    await handedOver();
    test.notification.query = async ({ job: { jobSerial } }) => {
      throw new WaybillError({ code: 'PULL_JOB_UNKNOWN', packageId, jobSerial });
    };
    await test.clock.advance(60 * minuteMs);
    await test.until(() => test.jobs.get(1)?.sendAction === undefined);
    await test.clock.advance(100);
    const [run] = await test.untilRunning(1);
    run?.handOver({ expectedHash: hash });
    await test.until(() => test.jobs.get(1)?.sendAction !== undefined);
    const packageHash = Buffer.from(hash, 'hex');
    test.notification.query = async () =>
      report({ state: 'PULL_JOB_STATE_SUCCEEDED', packageHash });
    await test.clock.advance(61 * minuteMs);
    await test.untilState(1, 'complete');
  });

  it('wait for capacity, warned of once, and start as soon as one ends (PULL-2)', async () => {
    await test.makeComponents({ pull: { ...test.config.pull, jobsMax: 2 } });
    await test.manager.start();
    for (const jobSerial of [1, 2, 3]) {
      const facts = { jobSerial, dpId: 'P1', packageId: toPackageId('PS1', jobSerial) };
      await test.addJob(facts);
      if (jobSerial === 3) break;
      const [run] = await test.untilRunning(jobSerial);
      run?.handOver({ expectedHash: hash });
      await test.until(() => test.jobs.get(jobSerial)?.sendAction !== undefined);
    }
    await test.until(() => test.jobs.get(3)?.waitingReason === 'capacity');
    assert.equal(test.manager.placeOf(3)?.waitingReason, 'capacity');
    await test.until(async () => (await test.row(3))?.waitingReason === 'capacity');
    assert.match((await test.row(3))?.reason ?? '', /as many jobs as it takes, 2/);
    const end = word({ jobSerial: 1, state: 'success', packageHash: hash });
    await test.manager.heard(end, []);
    await test.untilRunning(3);
    const ids = await test.messageIds();
    assert.equal(ids.filter((id) => id === 8211).length, 1);
  });

  it('outlive the site: the DP works on, and is not notified again (PULL-3)', async () => {
    await handedOver();
    await test.manager.stop();
    await test.makeComponents();
    await test.manager.start();
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.deepEqual(test.started, [1]);
    await test.manager.heard(word({ state: 'success', packageHash: hash }), []);
    await test.untilState(1, 'complete');
  });

  it('are loaded quickly when there are many (PULL-2)', async () => {
    const rows = test.store.records(keySpaces.distributionJobs);
    const changes = [];
    for (let n = 1; n <= 2_000; n++) {
      const job = testJob({
        ...{ jobSerial: n, packageId: toPackageId('PS1', n), dpId: `P${1 + (n % 2)}` },
        ...{ state: 'in-progress', sendAction: 'PullQueryResultAction', startedAtMs: 1 },
        restartAtMs: test.clock.nowMs() + minuteMs,
      });
      changes.push(rows.put(joinKey(n), job));
    }
    await test.store.write(changes, { sync: false });
    const beforeMs = performance.now();
    await test.manager.start();
    assert.equal([...test.jobs.open()].length, 2_000);
    assert.ok(performance.now() - beforeMs < 2_000);
  });
});
