import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { toPackageId } from '../../shared/domain/package.ts';
import type { PullWord } from '../../shared/domain/pull-effect.ts';
import type { PullResponse } from '../../shared/domain/state-message.ts';
import type { StateReport__Output } from '../../shared/rpc/generated/waybill/v1/StateReport.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { peerFailed, TestTransfers, unreachable } from './testing/test-transfers.ts';

const minuteMs = 60_000;
const hash = 'a'.repeat(64);
const packageId = 'PS100001';

describe('jobs of pull DPs', () => {
  let test: TestTransfers;
  let serial: number;

  beforeEach(async function () {
    this.timeout(10_000);
    test = await TestTransfers.open();
    await test.addPullDistributionPoints('P1', 'P2');
    serial = 0;
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  /** A job that P1 has, and the manager that waits to hear of it. */
  async function handedOver(jobSerial = 1, locations: () => Promise<Change[]> = async () => []) {
    await test.manager.start();
    await test.addJob({ jobSerial, dpId: 'P1', packageId, totalBytes: 100, remainingBytes: 100 });
    const [run] = await test.untilRunning(jobSerial);
    run?.handOver({ expectedHash: hash, locations });
    // On disk: in memory it is so a moment before.
    await test.until(async () => (await test.row(jobSerial))?.sendAction !== undefined);
  }

  const word = (facts: Partial<PullResponse>): PullWord => ({
    ...{ jobSerial: 1, dpId: 'P1', packageId, state: 'progress', doneBytes: 0, totalBytes: 0 },
    ...{ receivedBytes: 0, packageHash: '', source: '', warnings: [] },
    place: { outboxMadeAtMs: 1, serial: ++serial },
    ...facts,
  });

  const report = (facts: Partial<StateReport__Output>): StateReport__Output => ({
    state: 'PULL_JOB_STATE_DOWNLOADING',
    doneBytes: '0',
    totalBytes: '0',
    receivedBytes: '0',
    packageHash: Buffer.alloc(0),
    error: null,
    ...facts,
  });

  it('stay with the DP after the notification, with their send action (PULL-3)', async () => {
    await handedOver();
    const job = await test.untilState(1, 'in-progress');
    assert.equal(job.sendAction, 'PullQueryResultAction');
    assert.equal(job.pollCount, 0);
    assert.equal(job.restartAtMs, test.clock.nowMs() + 60 * minuteMs);
    assert.equal(job.expectedHash, hash);
    assert.deepEqual(await test.messageIds(), [8204]);
    assert.deepEqual([...test.manager.waiting], [], 'it does not wait here');
  });

  it('say what is arriving in the batch that says the DP has the job (PULL-2, PULL-11)', async () => {
    const contentIds = [`${packageId}.1`];
    const version = { packageId, dpId: 'P1', sourceVersion: 1, contentIds };
    await handedOver(1, () => test.contentMap.arriving(version));
    const found = await test.contentMap.locationsOf(`${packageId}.1`);
    assert.equal(found.get('P1')?.state, 'arriving');
  });

  it('show what the DP has fetched, and are complete when it proves the hash (PULL-8, PULL-9)', async () => {
    await handedOver();
    const progress = { doneBytes: 40, totalBytes: 100, receivedBytes: 45 };
    await test.manager.heard(word({ ...progress }), []);
    const job = await test.untilState(1, 'in-progress');
    assert.deepEqual([job.totalBytes, job.remainingBytes, job.bytesSent], [100, 60, 45]);
    assert.equal(test.jobs.percentOf(1), 40);
    await test.manager.heard(word({ state: 'success', packageHash: hash }), []);
    const ended = await test.untilState(1, 'complete');
    assert.deepEqual([ended.verifiedHash, ended.remainingBytes], [hash, 0]);
    assert.equal(ended.sendAction, undefined);
    assert.deepEqual(await test.messageIds(), [8204, 8200, 8210]);
    assert.deepEqual(await test.pending('transfer-result'), [1]);
  });

  it('are tried again when the DP proves another hash (PULL-9)', async () => {
    await handedOver();
    await test.manager.heard(word({ state: 'success', packageHash: 'b'.repeat(64) }), []);
    const job = await test.untilState(1, 'pending-restart');
    assert.match(job.reason, /expected hash aaaa/);
    assert.equal(job.sendAction, undefined);
    assert.deepEqual(await test.messageIds(), [8204, 8203]);
  });

  it('are tried again after a failure, under the retry policy (PULL-9, PTM-8)', async () => {
    await handedOver();
    const error = { code: 'PEER_UNREACHABLE', peer: 'x', address: 'y', reason: 'z' } as const;
    await test.manager.heard(word({ state: 'failure', error }), []);
    const job = await test.untilState(1, 'pending-restart');
    assert.equal(job.waitingReason, 'retry-at', 'its source is not the DP itself');
    assert.equal(job.restartAtMs, test.clock.nowMs() + 5_000);
    await test.clock.advance(5_000);
    const [run] = await test.untilRunning(1);
    run?.handOver();
    assert.equal((await test.untilState(1, 'in-progress')).tryCount, 2);
  });

  it('tell of a source that lied once, and of each other warning once (PULL-7, ADM-4)', async () => {
    await handedOver();
    const lie = {
      error: { code: 'PULL_SOURCE_LIED', source: 'S', fileHash: 'f', reason: 'r' },
      source: 'waybill://dp/S1',
    } as const;
    const dry = {
      error: { code: 'PULL_SOURCES_EXHAUSTED', packageId, reason: 'r' },
      source: '',
    } as const;
    await test.manager.heard(word({ state: 'warning', ...dry, warnings: [lie, dry] }), []);
    const waiting = await test.untilState(1, 'in-progress');
    assert.equal(waiting.waitingReason, 'no-source');
    assert.match(waiting.reason, /No source gives what is missing/);
    await test.manager.heard(word({ state: 'warning', ...lie, warnings: [lie, dry] }), []);
    await test.manager.heard(word({ doneBytes: 1, totalBytes: 2 }), []);
    assert.deepEqual(await test.messageIds(), [8204, 9003, 9004]);
    const job = test.jobs.get(1);
    assert.deepEqual([job?.waitingReason, job?.reason], [undefined, '']);
  });

  it('are notified again when the DP has dropped them (PULL-9)', async () => {
    await handedOver();
    await test.manager.heard(word({ state: 'cancelled' }), []);
    await test.untilState(1, 'pending-restart');
    await test.clock.advance(100);
    const [run] = await test.untilRunning(1);
    assert.equal(run?.job.jobSerial, 1);
  });

  it('believe what overtook the answer to their notification (PULL-9)', async () => {
    await test.manager.start();
    await test.addJob({ jobSerial: 1, dpId: 'P1', packageId });
    const [run] = await test.untilRunning(1);
    const error = { code: 'PEER_FAILED', peer: 'x', reason: 'z' } as const;
    await test.manager.heard(word({ state: 'failure', error }), []);
    run?.handOver();
    await test.until(() => test.clock.sleeperCount > 0 && !test.runs.has(1));
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    const job = test.jobs.get(1);
    assert.deepEqual([job?.state, job?.sendAction], ['pending-restart', undefined]);
    assert.equal(job?.restartAtMs, test.clock.nowMs() + 5_000);
  });

  it('believe the DP and not the connection that broke under the answer (PULL-2)', async () => {
    await test.manager.start();
    await test.addJob({ jobSerial: 1, dpId: 'P1', packageId });
    const [run] = await test.untilRunning(1);
    await test.manager.heard(word({ state: 'started' }), []);
    run?.fail(peerFailed());
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    const job = test.jobs.get(1);
    assert.deepEqual([job?.state, job?.sendAction], ['in-progress', 'PullQueryResultAction']);
  });

  it('change nothing for what is about another job, but take it away (PULL-9)', async () => {
    await handedOver();
    const rows = test.store.records(keySpaces.pullDpResponse);
    await test.store.write([rows.put('row', {} as PullResponse)], { sync: false });
    for (const wrong of [{ jobSerial: 9 }, { dpId: 'P2' }, { packageId: 'PS100009' }]) {
      const late = word({ state: 'success', packageHash: hash, ...wrong });
      await test.manager.heard(late, [rows.delete('row')]);
      assert.equal(test.jobs.get(1)?.state, 'in-progress');
      assert.equal(await rows.get('row'), undefined);
    }
  });

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
      await test.until(() => test.manager.waiting.get(1)?.waitingReason === 'no-source');
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
    test.notification.sourcesChanged = async ({ job }) => void told.push(job.jobSerial);
    const located = { packageId, dpId: 'S1', sourceVersion: 1, contentIds: [`${packageId}.1`] };
    await test.store.write(await test.contentMap.held(located), { sync: false });
    await test.until(() => told.length === 1);
    await test.store.write(await test.contentMap.held(located), { sync: false });
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    assert.deepEqual(told, [1], 'not more than once a second');
    await test.clock.advance(1_000);
    await test.until(() => told.length === 2);
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
    assert.equal(test.manager.waiting.get(3)?.waitingReason, 'capacity');
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

  it('are pushed when their DP becomes a standard one, and the other way round (ROLE-2)', async () => {
    await handedOver();
    const arriving = { packageId, dpId: 'P1', sourceVersion: 1, contentIds: [`${packageId}.1`] };
    await test.store.write(await test.contentMap.arriving(arriving), { sync: false });
    await test.hierarchy.set({ dpId: 'P1', kind: 'standard' });
    const [push] = await test.untilRunning(1);
    assert.equal(test.jobs.get(1)?.sendAction, undefined);
    assert.equal(push?.dp.kind, 'standard');
    assert.equal((await test.contentMap.locationsOf(`${packageId}.1`)).size, 0);
    await test.manager.heard(word({ state: 'success', packageHash: hash }), []);
    assert.equal(test.jobs.get(1)?.state, 'started', 'what it fetched before is over');
    await test.hierarchy.set({ dpId: 'P1', kind: 'pull' });
    await test.until(() => push?.signal.aborted === true);
    const [again] = await test.untilRunning(1);
    assert.equal(again?.dp.kind, 'pull');
    assert.equal(again?.job.tryCount, 2, 'an interruption is no failure');
  });

  it('are pushed when their DP becomes a standard one while it is being notified (ROLE-2)', async () => {
    await test.manager.start();
    await test.addJob({ jobSerial: 1, dpId: 'P1', packageId });
    const [run] = await test.untilRunning(1);
    let hand = () => {};
    const written = new Promise<Change[]>((resolve) => {
      hand = () => resolve([]);
    });
    // The DP has it, and the row that says so is just about to be written.
    run?.handOver({ locations: () => written });
    await test.hierarchy.set({ dpId: 'P1', kind: 'standard' });
    await test.until(() => run?.signal.aborted === true);
    hand();
    const [push] = await test.untilRunning(1);
    assert.equal(push?.dp.kind, 'standard');
    assert.equal(test.jobs.get(1)?.sendAction, undefined);
    assert.equal(push?.job.tryCount, 1, 'an interruption is no failure');
  });

  it('have failed after 100 tries in a row that brought nothing (PULL-9, PTM-8)', async () => {
    await handedOver();
    const error = { code: 'PEER_FAILED', peer: 'x', reason: 'y' } as const;
    let tries = 0;
    for (; test.jobs.get(1); tries++) {
      // The sixth try brings something: the count begins again.
      if (tries === 5) await test.manager.heard(word({ doneBytes: 1, totalBytes: 100 }), []);
      await test.manager.heard(word({ state: 'failure', error }), []);
      const waiting = test.jobs.get(1);
      if (!waiting) break;
      await test.clock.advance(waiting.restartAtMs - test.clock.nowMs());
      const [again] = await test.untilRunning(1);
      again?.handOver({ expectedHash: hash });
      await test.until(() => test.jobs.get(1)?.sendAction !== undefined);
    }
    assert.equal(tries, 5 + 100);
    assert.equal((await test.untilState(1, 'failed')).tryCount, 100);
  });

  it('hold nothing back for ever when the DP drops them again and again (PULL-9)', async () => {
    await handedOver();
    let tries = 1;
    for (; test.jobs.get(1); tries++) {
      assert.ok(tries <= 100, 'tried without end');
      await test.manager.heard(word({ state: 'cancelled' }), []);
      const waiting = test.jobs.get(1);
      if (!waiting) break;
      const waitMs = waiting.restartAtMs - test.clock.nowMs();
      if (tries > 20) assert.equal(waitMs, 30 * minuteMs, 'waits grow');
      await test.clock.advance(waitMs);
      const [again] = await test.untilRunning(1);
      again?.handOver({ expectedHash: hash });
      await test.until(() => test.jobs.get(1)?.sendAction !== undefined);
    }
    assert.equal(tries, 100);
    assert.equal((await test.untilState(1, 'failed')).reason, 'P1 does not have the job any more');
  });

  it('say nothing of what arrives when the DP has failed before its row was written (PULL-11)', async () => {
    const contentIds = [`${packageId}.1`];
    const version = { packageId, dpId: 'P1', sourceVersion: 1, contentIds };
    await test.manager.start();
    await test.addJob({ jobSerial: 1, dpId: 'P1', packageId });
    const [run] = await test.untilRunning(1);
    const error = { code: 'PEER_FAILED', peer: 'x', reason: 'y' } as const;
    await test.manager.heard(word({ state: 'failure', error }), []);
    let asked = false;
    run?.handOver({
      locations: () => {
        asked = true;
        return test.contentMap.arriving(version);
      },
    });
    await test.until(() => asked && test.manager.progressOf(1) === undefined);
    assert.equal((await test.contentMap.locationsOf(`${packageId}.1`)).size, 0);
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
