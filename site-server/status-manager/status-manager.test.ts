import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { type StatusFacts, StatusManager, type StatusMessageQuery } from './status-manager.ts';

describe('Status Manager', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let status: StatusManager;
  const clock = new FakeClock(1_000);

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.join('db'), logger }));
    status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
  });

  afterEach(async () => {
    await status.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function report(facts: StatusFacts): Promise<void> {
    await store.write(status.message(facts), { sync: false });
  }

  async function ids(query: Partial<StatusMessageQuery>): Promise<number[]> {
    const messages = await status.query({ countMax: 100, ...query });
    return messages.map(({ messageId }) => messageId);
  }

  it('keeps a message with its place and time, once it is written (ADM-4)', async () => {
    const changes = status.message({
      messageId: 2330,
      insertionStrings: ['PS100001', 'DP1', '1'],
      packageId: 'PS100001',
      sourceVersion: 1,
      dpId: 'DP1',
    });
    assert.deepEqual(await ids({}), []);
    await store.write(changes, { sync: false });
    const [message] = await status.query({ countMax: 1 });
    assert.deepEqual(message, {
      serial: 1,
      messageId: 2330,
      timeMs: 1_000,
      siteCode: 'PS1',
      insertionStrings: ['PS100001', 'DP1', '1'],
      packageId: 'PS100001',
      sourceVersion: 1,
      dpId: 'DP1',
    });
  });

  it('finds messages by package, DP, severity, time and ID (ADM-4)', async () => {
    await report({ messageId: 2300, insertionStrings: [], packageId: 'PS100001' });
    await report({ messageId: 2391, insertionStrings: [], packageId: 'PS100001', dpId: 'DP1' });
    await clock.advance(500);
    await report({ messageId: 2328, insertionStrings: [], packageId: 'PS100002', dpId: 'DP1' });
    assert.deepEqual(await ids({ packageId: 'PS100001' }), [2300, 2391]);
    assert.deepEqual(await ids({ dpId: 'DP1' }), [2391, 2328]);
    assert.deepEqual(await ids({ severity: 'warning' }), [2391, 2328]);
    assert.deepEqual(await ids({ severity: 'error' }), [2328]);
    assert.deepEqual(await ids({ sinceMs: 1_500 }), [2328]);
    assert.deepEqual(await ids({ messageId: 2300 }), [2300]);
    assert.deepEqual(await ids({ countMax: 2 }), [2391, 2328]);
  });

  it('shows a message of a newer program too', async () => {
    await report({ messageId: 9999 as 2300, insertionStrings: ['something new'] });
    assert.deepEqual(await ids({}), [9999]);
  });

  it('keeps no more than it is told', async () => {
    const few = await StatusManager.open(
      { store, clock, siteCode: 'PS1' },
      { statusMessageCountMax: 2 },
    );
    for (let count = 0; count < 5; count++) {
      await store.write(few.message({ messageId: 2300, insertionStrings: [] }), { sync: false });
    }
    const trimmed = new Promise((resolve) => store.onWritten(resolve));
    await few.start();
    await trimmed;
    await few.stop();
    const rows: number[] = [];
    for await (const [, { serial }] of store.records(keySpaces.statusMessages).list()) {
      rows.push(serial);
    }
    assert.deepEqual(rows, [4, 5]);
  });
});
