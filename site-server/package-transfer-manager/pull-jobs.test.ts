import assert from 'node:assert/strict';
import type { PullResponse } from '../../shared/domain/state-message.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import {
  handOver,
  pullHash as hash,
  pullPackageId as packageId,
  pullWord as word,
} from './testing/pull-words.ts';
import { peerFailed } from './testing/test-transfers.ts';
import { openBeforeEach, test } from './testing/transfers-ground.ts';

const minuteMs = 60_000;

describe('jobs of pull DPs', () => {
  openBeforeEach({ pull: ['P1', 'P2'] });

  const handedOver = (jobSerial?: number, locations?: () => Promise<Change[]>) =>
    handOver(test, jobSerial, locations);

  it('stay with the DP after the notification, with their send action (PULL-3)', async () => {
    await handedOver();
    const job = await test.untilState(1, 'in-progress');
    assert.equal(job.sendAction, 'PullQueryResultAction');
    assert.equal(job.pollCount, 0);
    assert.equal(job.restartAtMs, test.clock.nowMs() + 60 * minuteMs);
    assert.equal(job.expectedHash, hash);
    assert.deepEqual(await test.messageIds(), [8204]);
    assert.equal(test.waitingCount, 0, 'it does not wait here');
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

  it('raise no warning for a window that is closed, as an administrator wants it (ADM-4)', async () => {
    await handedOver();
    const opensAtMs = test.clock.nowMs() + 60_000;
    const error = { code: 'CONTENT_WINDOW_CLOSED', opensAtMs } as const;
    const closed = { error, source: '' };
    await test.manager.heard(word({ state: 'warning', ...closed, warnings: [closed] }), []);
    const waiting = await test.untilState(1, 'in-progress');
    assert.equal(waiting.waitingReason, 'window-closed');
    assert.deepEqual(await test.messageIds(), [8204]);
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
});
