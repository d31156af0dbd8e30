import assert from 'node:assert/strict';
import type { SiteDefinition } from '../../shared/domain/site.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { ChangeCapture } from './change-capture.ts';
import { testPackage, testStatus } from './testing/random-edits.ts';

const site: SiteDefinition = {
  siteCode: 'PS2',
  kind: 'primary',
  parentSiteCode: '',
  address: '',
  description: '',
};

describe('change capture (REP-1)', () => {
  const { logger } = new CapturedLog();
  let directory: TemporaryDirectory;
  let clock: FakeClock;
  let store: StateStore;
  let capture: ChangeCapture;

  async function open(isStoreDamaged = false) {
    store = (await StateStore.open({ directory: directory.join('state'), logger })).store;
    const notifier = new ChangeNotifier({ store });
    const needs = { store, notifier, clock, siteCode: 'PS1', isStoreDamaged };
    capture = await ChangeCapture.open(needs);
  }

  async function rowsOf(space: Parameters<typeof store.records<unknown>>[0]) {
    const rows = new Map<string, unknown>();
    for await (const [key, value] of store.records(space).list()) rows.set(key, value);
    return rows;
  }

  /** The rows the log names, by number. */
  async function logged() {
    const entries = await rowsOf(keySpaces.changeLog);
    return [...entries.values()].map((entry) => (entry as { row: string }).row);
  }

  async function topics() {
    const keys = [...(await rowsOf(keySpaces.packageNotifications)).keys()];
    return keys.map((key) => key.split('/').slice(0, 2).join('/'));
  }

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    await open();
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  it('writes version, entry and notification in the batch of the row', async () => {
    const sites = store.records(keySpaces.sites);
    await store.write([sites.put('PS2', site), sites.delete('PS3')], { sync: false });
    await store.close();
    await open();
    assert.deepEqual(await logged(), ['sites/PS2', 'sites/PS3']);
    const versions = await rowsOf(keySpaces.rowVersions);
    const deleted = [...versions.values()].map((v) => (v as { isDeleted: boolean }).isDeleted);
    assert.deepEqual(deleted, [false, true]);
    assert.deepEqual(await topics(), ['site/PS2', 'site/PS3']);
  });

  it('writes nothing of a batch that fails', async () => {
    const sites = store.records(keySpaces.sites);
    const unstorable = { ...sites.put('\ud800', site) };
    await assert.rejects(store.write([sites.put('PS2', site), unstorable], { sync: false }));
    assert.deepEqual(await logged(), []);
    assert.equal((await rowsOf(keySpaces.rowVersions)).size, 0);
  });

  it('keeps one entry of a row that changes often, with a number that rises', async () => {
    const sites = store.records(keySpaces.sites);
    const before = capture.writtenSequence;
    for (let count = 0; count < 5; count++) {
      await store.write([sites.put('PS2', site)], { sync: false });
    }
    assert.deepEqual(await logged(), ['sites/PS2']);
    assert.equal(capture.writtenSequence, before + 5);
  });

  it('counts rows of this site in its own tables as replicated ones, and no others', async () => {
    const packages = store.records(keySpaces.packages);
    const statuses = store.records(keySpaces.packageStatus);
    await store.write(
      [
        packages.put('PS100001', testPackage('PS100001', 'own')),
        packages.put('CAS00001', testPackage('CAS00001', 'of another site')),
        packages.delete('PS100002'),
        packages.delete('CAS00002'),
        statuses.put('CAS00001/', testStatus('CAS00001', '', 1)),
        statuses.delete('CAS00001/DP1'),
        store.records(keySpaces.counters).put('a', 1),
      ],
      { sync: false },
    );
    assert.deepEqual(await logged(), [
      'published-packages/PS100001',
      'published-packages/PS100002',
      'site-package-status/CAS00001/PS1/',
      'site-package-status/CAS00001/PS1/DP1',
    ]);
  });

  it('gives out numbers above all before, also after the store was lost or damaged', async () => {
    const sites = store.records(keySpaces.sites);
    await store.write([sites.put('PS2', site)], { sync: true });
    const last = capture.lastSequence;
    await store.close();
    await clock.advance(60_000);
    await open(true);
    assert.ok(capture.life > last);
    await store.close();
    await directory[Symbol.asyncDispose]();
    directory = await TemporaryDirectory.create();
    await clock.advance(60_000);
    await open();
    assert.ok(capture.life > last + 60_000);
  });

  it('never stands behind the clock of its last life', async () => {
    clock = new FakeClock(Date.UTC(2030, 0, 1));
    await store.close();
    await open();
    await store.write([store.records(keySpaces.sites).put('PS2', site)], { sync: false });
    const before = capture.clock.latest;
    await store.close();
    clock = new FakeClock(Date.UTC(2024, 0, 1));
    await open();
    const { wallMs, counter } = capture.clock.now();
    assert.deepEqual([wallMs, counter], [before.wallMs, before.counter + 1]);
  });

  it('numbers rows that were there before it', async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
    directory = await TemporaryDirectory.create();
    store = (await StateStore.open({ directory: directory.join('state'), logger })).store;
    const row = store.records(keySpaces.packages).put('PS100001', testPackage('PS100001', 'old'));
    await store.write([row], { sync: true });
    await store.close();
    await open();
    assert.deepEqual(await logged(), ['published-packages/PS100001']);
    await store.close();
    await open();
    assert.equal((await logged()).length, 1);
  });

  it('says a number is synced only once it is', async () => {
    const sites = store.records(keySpaces.sites);
    const syncs: boolean[] = [];
    store.onWritten((_, { isSynced }) => syncs.push(isSynced));
    await store.write([sites.put('PS2', site)], { sync: false });
    assert.equal(await capture.synced(), capture.writtenSequence);
    assert.deepEqual(syncs, [false, true]);
    await store.write([sites.put('PS2', site)], { sync: true });
    await capture.synced();
    assert.deepEqual(syncs, [false, true, true], 'a synced batch needs no other');
  });
});
