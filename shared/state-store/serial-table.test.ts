import assert from 'node:assert/strict';
import type { AuditRecord } from '../domain/audit-record.ts';
import { workIsOver } from '../runtime/abort-error.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { keySpaces } from './key-space.ts';
import { SerialTable } from './serial-table.ts';
import { StateStore } from './state-store.ts';

describe('Serial table', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.join('db'), logger }));
  });

  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  function open(rowCountMax = 1_000): Promise<SerialTable<AuditRecord>> {
    return SerialTable.open({ store, space: keySpaces.auditRecords }, { rowCountMax });
  }

  function toRow(serial: number): AuditRecord {
    const facts = { caller: '', address: '', method: '', result: 'ok', detail: '' };
    return { serial, timeMs: serial, ...facts };
  }

  async function append(table: SerialTable<AuditRecord>, count: number): Promise<void> {
    const changes = Array.from({ length: count }).flatMap(() => table.append(toRow));
    await store.write(changes, { sync: false });
  }

  async function serials(table: SerialTable<AuditRecord>, countMax = 10_000): Promise<number[]> {
    return (await table.newest(() => true, countMax)).map(({ serial }) => serial);
  }

  it('looks no further for rows that nobody waits for any more', async () => {
    const table = await open();
    await append(table, 9);
    const ending = new AbortController();
    let lookedCount = 0;
    const looking = table.newest(
      () => {
        lookedCount += 1;
        if (lookedCount === 3) ending.abort(workIsOver);
        return false;
      },
      9,
      ending.signal,
    );
    await assert.rejects(looking, { name: 'AbortError' });
    assert.equal(lookedCount, 3);
  });

  it('gives the newest rows that match, oldest of them first', async () => {
    const table = await open();
    await append(table, 9);
    assert.deepEqual(await serials(table, 3), [7, 8, 9]);
    const even = await table.newest(({ serial }) => serial % 2 === 0, 2);
    assert.deepEqual(
      even.map(({ serial }) => serial),
      [6, 8],
    );
  });

  it('cuts off the oldest rows over the limit when it starts', async () => {
    await append(await open(), 5_000);
    const table = await open(10);
    await table.start();
    const trimmed = new Promise<void>((resolve) => {
      store.onWritten((changes) => {
        if (changes.some(({ key }) => Number(key) === 4_990)) resolve();
      });
    });
    await trimmed;
    await table.stop();
    assert.deepEqual(
      await serials(table),
      [4991, 4992, 4993, 4994, 4995, 4996, 4997, 4998, 4999, 5000],
    );
  });

  it('cuts off while it grows', async () => {
    const table = await open(10);
    await table.start();
    for (let round = 0; round < 5; round++) await append(table, 1_000);
    await append(table, 1);
    while ((await serials(table)).length > 1_011) await append(table, 1);
    await table.stop();
  });

  it('never gives out a serial again, whatever became of the counter', async () => {
    await append(await open(), 3);
    const counters = store.records(keySpaces.counters);
    await store.write([counters.delete(keySpaces.auditRecords.name)], { sync: false });
    const table = await open();
    await append(table, 1);
    assert.deepEqual(await serials(table), [1, 2, 3, 4]);
  });
});
