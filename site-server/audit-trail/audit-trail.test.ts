import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  ChainCheck,
  type ChainFinding,
  type ToldHead,
} from '../../shared/audit-chain/chain-check.ts';
import type { AuditRecord } from '../../shared/domain/audit-record.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { AuditEvent } from '../../shared/rpc/audit-event.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { CrashingStore } from '../../shared/testing/crashing-store.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { StatusManager } from '../status-manager/status-manager.ts';
import { AuditTrail } from './audit-trail.ts';

describe('Audit trail', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let log: CapturedLog;
  const clock = new FakeClock(1_000);

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    log = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.join('db'), logger: log.logger }));
  });

  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  function event(result = 'ok', detail = ''): AuditEvent {
    return { caller: 'waybill://admin/full/alice', address: '::1', method: 'm', result, detail };
  }

  function open(auditRecordsWaitingMax = 100): Promise<AuditTrail> {
    const config = { auditRecordCountMax: 1_000, auditKeptDays: 0, auditRecordsWaitingMax };
    return AuditTrail.open({ store, clock, logger: log.logger }, config);
  }

  it('keeps who called what, with which result (ADM-5)', async () => {
    const trail = await open();
    trail.record(event('ok', 'packageId=PS100001'));
    trail.record(event('PEER_NOT_ALLOWED'));
    const all = await trail.query({ countMax: 10 });
    const { hash, previousHash, ...first } = all[0] ?? assert.fail();
    assert.deepEqual(first, { serial: 1, timeMs: 1_000, ...event('ok', 'packageId=PS100001') });
    assert.deepEqual([hash?.length, previousHash], [64, '0'.repeat(64)]);
    const refused = await trail.query({ countMax: 10, refusedOnly: true });
    assert.deepEqual(
      refused.map(({ serial }) => serial),
      [2],
    );
    assert.deepEqual(await trail.query({ countMax: 10, sinceMs: 1_001 }), []);
    const newest = await trail.query({ countMax: 1 });
    assert.deepEqual(
      newest.map(({ serial }) => serial),
      [2],
    );
  });

  it('has written all it was given when it stops', async () => {
    const trail = await open();
    for (let count = 0; count < 50; count++) trail.record(event());
    await trail.stop();
    const again = await open();
    assert.equal((await again.query({ countMax: 100 })).length, 50);
  });

  it('costs bounded memory in a flood, and says how much it did not keep', async () => {
    const trail = await open(10);
    for (let count = 0; count < 25; count++) trail.record(event('refused'));
    const records = await trail.query({ countMax: 100 });
    assert.equal(records.length, 11);
    assert.match(records.at(-1)?.detail ?? '', /^15 records/);
    assert.deepEqual(log.messages(40), ['Audit records could not be kept']);
  });

  it('goes on when the disk was full, and says what that cost', async () => {
    const trail = await open();
    const write = store.write.bind(store);
    store.write = async () => {
      throw new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });
    };
    trail.record(event());
    await trail.query({ countMax: 1 });
    store.write = write;
    trail.record(event());
    const records = await trail.query({ countMax: 10 });
    assert.deepEqual(
      records.map(({ result }) => result),
      ['ok', 'lost'],
    );
    assert.match(records.at(-1)?.detail ?? '', /^1 records/);
  });

  it('keeps a text no longer than it should', async () => {
    const trail = await open();
    trail.record(event('ok', 'x'.repeat(100_000)));
    const [record] = await trail.query({ countMax: 1 });
    assert.equal(record?.detail.length, 1_024);
  });

  describe('in a flood', () => {
    const dayMs = 24 * 3_600_000;
    const hostile = (count: number): AuditEvent => ({
      ...{ caller: 'waybill://dp/PS1DP1', address: '10.0.0.9', result: 'REQUEST_INVALID' },
      ...{ method: '/waybill.v1.ManagementPoint/ReportState', detail: `job=${count}` },
    });

    async function flooded(needs: Partial<Parameters<typeof AuditTrail.open>[0]> = {}) {
      const flooding = new FakeClock();
      const trail = await AuditTrail.open(
        { store, clock: flooding, logger: log.logger, ...needs },
        { auditRecordCountMax: 500, auditKeptDays: 400, auditRecordsWaitingMax: 10_000 },
      );
      await trail.start();
      trail.record({ ...event(), method: '/waybill.v1.Admin/RevokeCertificates' });
      for (let day = 0; day < 10; day++) {
        for (let count = 0; count < 5_000; count++) trail.record(hostile(count));
        await trail.query({ countMax: 1 });
        await flooding.advance(dayMs);
      }
      return { trail, flooding };
    }

    it('keeps what administrators did, whatever a machine is refused, and says what it left out', async () => {
      const { trail } = await flooded();
      await trail.stop();
      const all = await trail.query({ countMax: 100_000 });
      assert.equal(all[0]?.method, '/waybill.v1.Admin/RevokeCertificates');
      assert.ok(all.length > 1_500 && all.length < 2_000, `${all.length} records`);
      assert.ok(all.some(({ detail }) => detail.endsWith('; 4000 more were not recorded')));
    });

    it('tells an administrator, once a day, what it has no room for, and that it grows', async () => {
      const status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
      const { trail } = await flooded({ status });
      await trail.stop();
      const messages = await status.query({ countMax: 100 });
      const texts = new Set(
        messages.map(({ messageId, insertionStrings }) =>
          [messageId, ...insertionStrings].join(' '),
        ),
      );
      assert.deepEqual([...texts].toSorted(), [
        '9060 waybill://dp/PS1DP1 10.0.0.9',
        '9061 500 400',
      ]);
      assert.equal(messages.filter(({ messageId }) => messageId === 9060).length, 10);
    });

    it('tells who refuses what this site sends, not this site, when there is no room for it', async () => {
      const status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
      const trail = await AuditTrail.open({ store, clock, logger: log.logger, status });
      const caller = 'waybill://site/PS1';
      const refusal = { caller, address: 'cs1:1', method: 'send', result: 'REFUSED', detail: '' };
      const refusedBy = 'waybill://site/CS1';
      for (let count = 0; count < 1_001; count++) trail.record({ ...refusal, refusedBy });
      await trail.stop();
      const [message] = await status.query({ countMax: 1 });
      assert.deepEqual(message?.insertionStrings, [refusedBy, 'cs1:1']);
    });

    it('lets the oldest go when it is old enough', async () => {
      const { trail, flooding } = await flooded();
      await flooding.advance(400 * dayMs);
      for (let count = 0; count < 1_000; count++) trail.record(event());
      const oldest = async () => (await trail.query({ countMax: 100_000 }))[0]?.method;
      while ((await oldest()) !== hostile(0).method) await nextTurn();
      await trail.stop();
      const check = new ChainCheck([]);
      for await (const { anchor, record } of trail.read()) {
        if (anchor) check.goOnFrom(anchor);
        if (record) check.add(record);
      }
      assert.deepEqual(check.end().findings, []);
    });
  });

  describe('as a chain', () => {
    const rowOf = (serial: number) => joinKey(serial);
    const rows = () => store.records(keySpaces.auditRecords);

    async function written(count: number, auditRecordCountMax = 100_000): Promise<AuditTrail> {
      const config = { auditRecordCountMax, auditKeptDays: 0, auditRecordsWaitingMax: 100_000 };
      const trail = await AuditTrail.open({ store, clock, logger: log.logger }, config);
      for (let one = 0; one < count; one++) trail.record(event('ok', `${one}`));
      await trail.query({ countMax: 1 });
      return trail;
    }

    async function checked(trail: AuditTrail, heads: readonly ToldHead[] = []) {
      const check = new ChainCheck(heads);
      for await (const { anchor, record } of trail.read()) {
        if (anchor) check.goOnFrom(anchor);
        if (record) check.add(record);
      }
      return check.end();
    }

    async function findings(heads: readonly ToldHead[] = []): Promise<readonly ChainFinding[]> {
      return (await checked(await open(), heads)).findings;
    }

    const toldOf = ({ head }: AuditTrail): ToldHead => ({ ...head, toldAtMs: 1, toldTo: 'CS1' });

    async function change(serial: number, changes: Partial<AuditRecord>): Promise<void> {
      const record = (await rows().get(rowOf(serial))) ?? assert.fail();
      await store.write([rows().put(rowOf(serial), { ...record, ...changes })], { sync: false });
    }

    it('goes on over starts and crashes, with one writer after another', async () => {
      for (let start = 0; start < 3; start++) await written(5);
      const { recordCount, findings: found } = await checked(await open());
      assert.deepEqual([recordCount, found], [15, []]);
    });

    it('is whole after a crash at any of its writes, cuts among them', async () => {
      const config = { auditRecordCountMax: 200, auditKeptDays: 0, auditRecordsWaitingMax: 1_000 };
      const heads: ToldHead[] = [];
      for (let crashAt = 1; crashAt <= 12; crashAt++) {
        const life = new CrashingStore(store);
        const needs = { store: life.store, clock, logger: log.logger };
        const trail = await AuditTrail.open(needs, config);
        await trail.start();
        life.crashAt(crashAt, crashAt % 2 === 0);
        while (!life.hasCrashed) {
          const { serial } = trail.head;
          for (let count = 0; count < 50; count++) trail.record(event());
          while (trail.head.serial === serial && !life.hasCrashed) await nextTurn();
          if (!life.hasCrashed) heads.push(toldOf(trail));
        }
        await store.settled();
      }
      const { findings: found, recordCount, oldestSerial } = await checked(await open(), heads);
      assert.deepEqual(found, []);
      assert.ok(
        recordCount > 200 && (oldestSerial ?? 0) > 1,
        `${recordCount} from ${oldestSerial}`,
      );
    });

    it('goes on where a full disk kept records from being written', async () => {
      const trail = await written(2);
      const write = store.write.bind(store);
      store.write = async () => {
        throw new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });
      };
      trail.record(event());
      await trail.query({ countMax: 1 });
      store.write = write;
      trail.record(event());
      const { newestSerial, findings: found } = await checked(trail);
      assert.deepEqual([newestSerial, found], [5, []]);
    });

    it('goes on from a write that failed and came up all the same', async () => {
      const trail = await written(2);
      const write = store.write.bind(store);
      store.write = async (changes, options) => {
        await write(changes, options);
        throw new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });
      };
      trail.record(event());
      await trail.query({ countMax: 1 });
      store.write = write;
      trail.record(event());
      assert.deepEqual((await checked(trail)).findings, []);
    });

    it('keeps its end as an anchor when the oldest records go in time', async () => {
      const trail = await written(1_500, 100);
      await trail.stop();
      const again = await written(0, 100);
      await again.start();
      // The cut is made in the background.
      while ((await checked(again)).oldestSerial === 1) await nextTurn();
      await again.stop();
      const { oldestSerial, newestSerial, findings: found } = await checked(again, [toldOf(trail)]);
      assert.deepEqual([oldestSerial, newestSerial, found], [1_401, 1_500, []]);
      await store.write([rows().delete(rowOf(1_401))], { sync: false });
      assert.deepEqual(await findings(), [{ kind: 'removed', serial: 1_401, lastSerial: 1_401 }]);
      await written(1);
      assert.equal((await checked(await open())).newestSerial, 1_501);
    });

    it('is read whole while its oldest records go', async () => {
      const trail = await written(3_000);
      const config = { auditRecordCountMax: 100, auditKeptDays: 0, auditRecordsWaitingMax: 1 };
      const cutting = await AuditTrail.open({ store, clock, logger: log.logger }, config);
      const anchors = store.records(keySpaces.auditAnchor);
      const check = new ChainCheck([]);
      let anchorCount = 0;
      let recordCount = 0;
      for await (const { anchor, record } of trail.read()) {
        if (anchor) check.goOnFrom(anchor);
        if (anchor) anchorCount += 1;
        if (record) check.add(record);
        if (record && ++recordCount !== 5) continue;
        // What has not been read yet is cut off.
        await cutting.start();
        while ((await anchors.get('anchor'))?.serial !== 2_900) await nextTurn();
      }
      await cutting.stop();
      const { newestSerial, findings: found } = check.end();
      assert.deepEqual([anchorCount, newestSerial, found], [1, 3_000, []]);
      assert.ok(recordCount < 3_000);
    });

    it('begins after the records of an older program, which stay readable', async () => {
      const old = [1, 2].map((serial) =>
        rows().put(rowOf(serial), { serial, timeMs: 1, ...event() }),
      );
      await store.write(old, { sync: false });
      const trail = await written(2);
      assert.equal((await trail.query({ countMax: 10 })).length, 4);
      const { uncoveredCount, findings: found } = await checked(trail);
      assert.deepEqual([uncoveredCount, found], [2, []]);
    });

    it('says that it was damaged, and gives no serial again that others may have been told', async () => {
      const before = await written(5);
      const told = toldOf(before);
      await store.write(
        [4, 5].map((serial) => rows().delete(rowOf(serial))),
        { sync: false },
      );
      const needs = { store, clock, logger: log.logger, isStoreDamaged: true };
      const trail = await AuditTrail.open(needs);
      const [record] = await trail.query({ countMax: 1 });
      assert.ok((record?.serial ?? 0) > 10_000);
      assert.match(record?.detail ?? '', /damaged/);
      assert.deepEqual((await checked(trail)).findings, [], 'it goes on from what is left');
      const gone = { kind: 'removed', serial: 4, lastSerial: (record?.serial ?? 0) - 1 };
      assert.deepEqual((await checked(trail, [told])).findings, [gone]);
    });

    it('that was lost as a whole begins anew, far above', async () => {
      const needs = { store, clock, logger: log.logger, isStoreDamaged: true };
      const trail = await AuditTrail.open(needs);
      const [record] = await trail.query({ countMax: 1 });
      assert.ok((record?.serial ?? 0) > clock.nowMs());
      const told = { serial: 7, hash: 'ab'.repeat(32), toldAtMs: 1, toldTo: 'CS1' };
      const gone = { kind: 'removed', serial: 1, lastSerial: 7 };
      assert.deepEqual((await checked(trail, [told])).findings, [gone]);
    });

    it('shows what was altered behind its back, removed, or cut off at its end', async () => {
      const trail = await written(6);
      const told = toldOf(trail);
      await change(2, { result: 'ok', caller: 'waybill://admin/full/nobody' });
      assert.deepEqual(await findings([told]), [{ kind: 'altered', serial: 2 }]);
      await store.write([rows().delete(rowOf(4))], { sync: false });
      const removed = { kind: 'removed', serial: 4, lastSerial: 4 };
      assert.deepEqual(await findings([told]), [{ kind: 'altered', serial: 2 }, removed]);
      await store.write([rows().delete(rowOf(6))], { sync: false });
      const cut = { kind: 'removed', serial: 6, lastSerial: 6 };
      assert.deepEqual(await findings([told]), [{ kind: 'altered', serial: 2 }, removed, cut]);
    });
  });
});
