import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { type AuditEvent, AuditTrail } from './audit-trail.ts';

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
    const config = { auditRecordCountMax: 1_000, auditRecordsWaitingMax };
    return AuditTrail.open({ store, clock, logger: log.logger }, config);
  }

  it('keeps who called what, with which result (ADM-5)', async () => {
    const trail = await open();
    trail.record(event('ok', 'packageId=PS100001'));
    trail.record(event('PEER_NOT_ALLOWED'));
    const all = await trail.query({ countMax: 10 });
    assert.deepEqual(all[0], { serial: 1, timeMs: 1_000, ...event('ok', 'packageId=PS100001') });
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
});
