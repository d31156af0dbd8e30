import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { watchLink } from './testing/link-watch.ts';
import { testPackage, testStatus } from './testing/random-edits.ts';
import { converged } from './testing/replicated-state.ts';
import { TestHierarchy, type TestSite } from './testing/test-hierarchy.ts';

const dayMs = 24 * 3_600_000;

function point(dpId: string, description = ''): DistributionPoint {
  return { dpId, address: 'dp:1', kind: 'standard', description, siteCode: 'PS1' };
}

async function put(site: TestSite, ...points: DistributionPoint[]): Promise<void> {
  const records = site.store.records(keySpaces.hierarchyDistributionPoints);
  await site.store.write(
    points.map((one) => records.put(one.dpId, one)),
    { sync: false },
  );
}

async function remove(site: TestSite, dpId: string): Promise<void> {
  const records = site.store.records(keySpaces.hierarchyDistributionPoints);
  await site.store.write([records.delete(dpId)], { sync: false });
}

async function points(site: TestSite): Promise<string[]> {
  return [...(await site.rows(keySpaces.hierarchyDistributionPoints)).keys()];
}

describe('Replication Manager (REP-1)', () => {
  let hierarchy: TestHierarchy;
  let cas: TestSite;
  let ps1: TestSite;
  beforeEach(async () => {
    hierarchy = await TestHierarchy.create();
    cas = await hierarchy.add('CAS', 'central-administration');
    ps1 = await hierarchy.add('PS1', 'primary', 'CAS');
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());

  it('brings a row from any site to every other', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    await put(sec, point('DP1', 'from below'));
    await converged(hierarchy);
    assert.deepEqual(await points(ps2), ['DP1']);
    assert.deepEqual([...(await cas.rows(keySpaces.sites)).keys()], ['CAS', 'PS1', 'PS2', 'SEC']);
  });

  it('tells once, when the parent has given back all it had', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    assert.equal(ps2.manager.hasCaughtUp(), false);
    const seen: boolean[] = [];
    ps2.manager.onCaughtUp(() => seen.push(ps2.manager.hasCaughtUp()));
    await put(ps1, point('DP1'));
    await converged(hierarchy);
    assert.deepEqual(seen, [true]);
    ps2.manager.onCaughtUp(() => seen.push(false));
    await put(ps2, point('DP2'));
    await converged(hierarchy);
    assert.deepEqual(seen, [true], 'who comes later can ask');
  });

  it('sends status up and to the source site of its package, and nowhere else (REP-8)', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    const sec = await hierarchy.add('SEC', 'secondary', 'PS2');
    const statuses = ps1.store.records(keySpaces.packageStatus);
    const packages = sec.store.records(keySpaces.packages);
    await sec.store.write([packages.put('SEC00001', testPackage('SEC00001', 'x'))], { sync: true });
    const ofSecondary = testStatus('SEC00001', 'DP1', 1);
    const ofPrimary = testStatus('PS100001', 'DP1', 1);
    await ps1.store.write(
      [statuses.put('SEC00001/DP1', ofSecondary), statuses.put('PS100001/DP1', ofPrimary)],
      { sync: false },
    );
    await converged(hierarchy);
    const keysAt = async (site: TestSite) => [
      ...(await site.rows(keySpaces.sitePackageStatus)).keys(),
    ];
    assert.deepEqual(await keysAt(cas), ['PS100001/PS1/DP1', 'SEC00001/PS1/DP1']);
    assert.deepEqual(await keysAt(ps2), ['SEC00001/PS1/DP1']);
    assert.deepEqual(await keysAt(sec), ['SEC00001/PS1/DP1']);
  });

  it('ends with the same row everywhere when two administrators edit it at parted sites', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    await put(cas, point('DP1', 'before'));
    await converged(hierarchy);
    for (const code of ['PS1', 'PS2']) hierarchy.cut(code, 'CAS');
    await put(ps2, point('DP1', 'earlier'));
    await hierarchy.clock.advance(5_000);
    await put(ps1, point('DP1', 'later'));
    hierarchy.mendAll();
    await converged(hierarchy);
    for (const site of [cas, ps1, ps2]) {
      const row = await site.store.records(keySpaces.hierarchyDistributionPoints).get('DP1');
      assert.equal(row?.description, 'later', site.code);
    }
  });

  it('fills a new site, which then has everything', async () => {
    await put(cas, ...Array.from({ length: 1_000 }, (_, index) => point(`DP${index}`)));
    await remove(cas, 'DP7');
    const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    await converged(hierarchy);
    assert.equal((await points(sec)).length, 999);
  });

  it('gives a full copy to a site away for longer than deletions are remembered', async () => {
    const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    await put(cas, point('OFCAS'), point('KEPT'));
    await put(ps1, point('OFPS1'));
    await put(sec, { ...point('OFSEC'), siteCode: 'SEC' });
    const packages = cas.store.records(keySpaces.packages);
    await cas.store.write([packages.put('CAS00001', testPackage('CAS00001', 'x'))], { sync: true });
    await converged(hierarchy);
    hierarchy.cut('PS1', 'CAS');
    await cas.store.write([packages.delete('CAS00001')], { sync: true });
    // What is deleted at one side may be of the other.
    for (const dpId of ['OFCAS', 'OFPS1']) await remove(cas, dpId);
    await remove(sec, 'OFSEC');
    await hierarchy.until(async () => (await points(ps1)).length === 3, 'deletion at PS1');
    for (const site of [cas, ps1, sec]) site.skewMs += 91 * dayMs;
    await put(ps1, point('NEW'));
    for (const site of [cas, ps1, sec]) await site.manager.sweep();
    const seen = watchLink(hierarchy, 'PS1');
    hierarchy.mendAll();
    await converged(hierarchy);
    assert.ok(seen.copyPartCount > 0);
    for (const site of [cas, ps1, sec])
      assert.deepEqual(await points(site), ['KEPT', 'NEW'], site.code);
    for (const site of [ps1, sec]) {
      assert.equal((await site.rows(keySpaces.publishedPackages)).size, 0, site.code);
    }
    const topics = [...(await sec.rows(keySpaces.packageNotifications)).keys()];
    assert.ok(topics.some((key) => key.startsWith('hierarchy-distribution-point/OFCAS/')));
  });

  it('loses nothing by a full copy that changes while it is made', async () => {
    const names = Array.from({ length: 300 }, (_, index) => `DP${index}`);
    const long = 'x'.repeat(8_000);
    await put(ps1, ...names.filter((_, index) => index % 2 === 0).map((dpId) => point(dpId, long)));
    await put(cas, ...names.filter((_, index) => index % 2 === 1).map((dpId) => point(dpId, long)));
    await put(cas, point('GONE'));
    await converged(hierarchy);
    hierarchy.cut('PS1', 'CAS');
    await remove(cas, 'GONE');
    for (const site of [cas, ps1]) site.skewMs += 91 * dayMs;
    for (const site of [cas, ps1]) await site.manager.sweep();
    const dropped: string[] = [];
    ps1.store.onWritten((changes) => {
      for (const { type, space, key } of changes) {
        const isDrop = type === 'delete' && space === keySpaces.hierarchyDistributionPoints.name;
        if (isDrop) dropped.push(key);
      }
    });
    let count = 0;
    hierarchy.onMessage = () => {
      count += 1;
      // From the last one on, so that what is edited has not been read yet.
      const dpId = names.at(-count);
      if (dpId) void put(cas, point(dpId, `edited ${count}`));
    };
    hierarchy.mendAll();
    await converged(hierarchy);
    assert.deepEqual(dropped, ['GONE']);
    assert.deepEqual(await points(cas), names.sort());
    assert.equal((await ps1.rows(keySpaces.fullCopyRows)).size, 0);
  });

  it('begins a full copy anew when it is interrupted, and ends it all the same', async () => {
    await put(cas, ...Array.from({ length: 50 }, (_, index) => point(`DP${index}`)));
    await converged(hierarchy);
    hierarchy.cut('PS1', 'CAS');
    await remove(cas, 'DP1');
    await put(ps1, point('OWN'));
    for (const site of [cas, ps1]) site.skewMs += 91 * dayMs;
    for (const site of [cas, ps1]) await site.manager.sweep();
    let messageCount = 0;
    hierarchy.onMessage = () => {
      messageCount += 1;
      if (messageCount % 6 === 0 && messageCount < 60) hierarchy.cutAll('PS1');
    };
    hierarchy.mendAll();
    await converged(hierarchy);
    assert.equal((await points(ps1)).includes('DP1'), false);
    assert.ok((await points(cas)).includes('OWN'));
  });

  it('gets its own rows back from its neighbours after its store was lost', async () => {
    const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    await put(ps1, point('DP1', 'mine'));
    const packages = ps1.store.records(keySpaces.packages);
    await ps1.store.write([packages.put('PS100001', testPackage('PS100001', 'x'))], { sync: true });
    const message = () => ps1.status.message({ messageId: 2300, insertionStrings: ['PS100001'] });
    for (let count = 0; count < 3; count++) await ps1.store.write(message(), { sync: true });
    await converged(hierarchy);
    const messagesAt = async () => (await cas.rows(keySpaces.siteStatusMessages)).size;
    await hierarchy.until(async () => (await messagesAt()) === 3, 'messages');
    await ps1.stop();
    await rm(hierarchy.directory.join('PS1'), { recursive: true });
    await hierarchy.clock.advance(1_000);
    await ps1.start();
    await put(ps1, point('DP2', 'since'));
    await ps1.store.write(message(), { sync: true });
    await converged(hierarchy);
    for (const site of [cas, ps1, sec])
      assert.deepEqual(await points(site), ['DP1', 'DP2'], site.code);
    assert.ok(await ps1.store.records(keySpaces.packages).get('PS100001'));
    await hierarchy.until(async () => (await messagesAt()) > 3, 'the message since');
  });

  it('is not deaf to a site whose store is an older copy of itself', async () => {
    await put(ps1, point('DP1', 'old'));
    await converged(hierarchy);
    const { lastSequence } = ps1.capture;
    // The CAS has later numbers than PS1 will remember.
    await put(ps1, point('DP2', 'forgotten'));
    await converged(hierarchy);
    await ps1.stop();
    const { store } = await forgetful(hierarchy, lastSequence);
    await store.close();
    await ps1.start();
    await put(ps1, point('DP3', 'new'));
    await converged(hierarchy);
    assert.deepEqual(await points(cas), ['DP1', 'DP2', 'DP3']);
  });

  it('remembers what it has sent, though the newest of it was overwritten by another site', async () => {
    const records = ps1.store.records(keySpaces.hierarchyDistributionPoints);
    await ps1.store.write([records.put('DP1', point('DP1', 'first'))], { sync: true });
    await converged(hierarchy);
    await hierarchy.clock.advance(10);
    await put(cas, point('DP1', 'second'));
    await converged(hierarchy);
    await ps1.stop();
    await hierarchy.clock.advance(60_000);
    await ps1.start();
    await put(ps1, point('DP2'));
    await converged(hierarchy);
    assert.deepEqual(ps1.log.messages(40), []);
  });

  it('gets what goes up from a site that was moved below it (REP-8)', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    let sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    for (const parentSiteCode of ['PS2', 'PS1', 'PS2']) {
      const statuses = sec.store.records(keySpaces.packageStatus);
      const key = `CAS0000${parentSiteCode.slice(2)}/DP1`;
      const status = testStatus(key.slice(0, 8), 'DP1', hierarchy.clock.nowMs());
      await sec.store.write([statuses.put(key, status)], { sync: true });
      await put(sec, point(`DP${hierarchy.clock.nowMs()}`));
      const row = `${key.slice(0, 8)}/SEC/DP1`;
      const isAt = async (site: TestSite) => {
        const found = (await site.rows(keySpaces.sitePackageStatus)).get(row);
        return found?.installedVersion === status.installedVersion;
      };
      await hierarchy.until(() => isAt(cas), 'status at the top');
      await sec.stop();
      const definition = { siteCode: 'SEC', kind: 'secondary', parentSiteCode } as const;
      await cas.define({ ...definition, address: '', description: '' });
      const isKnown = async () =>
        [ps1, ps2].every(({ directory }) => directory.tree.parentOf('SEC') === parentSiteCode);
      await hierarchy.until(isKnown, 'new parent');
      sec = await hierarchy.move('SEC', parentSiteCode);
      const next = parentSiteCode === 'PS2' ? ps2 : ps1;
      await hierarchy.until(() => isAt(next), `status at ${parentSiteCode}`);
    }
  });

  it('notices that a neighbour is silent, and says so', async () => {
    await hierarchy[Symbol.asyncDispose]();
    hierarchy = await TestHierarchy.create({ stallMs: 15_000, aliveMs: 1_000_000 });
    cas = await hierarchy.add('CAS', 'central-administration');
    ps1 = await hierarchy.add('PS1', 'primary', 'CAS');
    const stateOf = async () => (await cas.manager.neighbours())[0];
    await hierarchy.until(async () => (await stateOf())?.connected === true, 'connection');
    const atMs = hierarchy.clock.nowMs();
    const isSo = async () => (await stateOf())?.reason.includes('nothing was heard') === true;
    await hierarchy.until(isSo, 'silence');
    assert.ok(hierarchy.clock.nowMs() - atMs <= 31_000);
  });

  it('refuses a site nobody made known, and one that names another parent or kind', async () => {
    await hierarchy.add('PS2', 'primary', 'CAS');
    await cas.store.write([cas.store.records(keySpaces.sites).delete('PS2')], { sync: true });
    const reasonOf = async (code: string) => {
      return (await hierarchy.site(code).manager.neighbours())[0]?.reason ?? '';
    };
    hierarchy.cutAll('PS2');
    await hierarchy.until(
      async () => (await reasonOf('PS2')).includes('There is no site'),
      'unknown',
    );
    const ps1AsSecondary = { siteCode: 'PS1', kind: 'secondary', parentSiteCode: 'PS9' } as const;
    await cas.define({ ...ps1AsSecondary, address: '', description: '' });
    hierarchy.cutAll('PS1');
    await hierarchy.until(
      async () => (await reasonOf('PS1')).includes('made known as'),
      'mismatch',
    );
    const told = [...(await cas.rows(keySpaces.statusMessages)).values()];
    const ids = told.map(
      ({ messageId, insertionStrings }) => `${messageId} ${insertionStrings[0]}`,
    );
    assert.deepEqual(ids, ['9005 PS2', '9005 PS1'], 'each told once, however often it is tried');
  });

  it('a site that was taken out and is made known again begins without its old refusal', async () => {
    const seen = async () => (await cas.manager.neighbours()).find((one) => one.siteCode === 'PS1');
    const facts = { siteCode: 'PS1', parentSiteCode: 'CAS', address: '', description: '' };
    await cas.define({ ...facts, kind: 'secondary' });
    hierarchy.cutAll('PS1');
    const isRefused = async () => (await seen())?.reason.includes('made known as') === true;
    await hierarchy.until(isRefused, 'refusal');
    await cas.store.write([cas.store.records(keySpaces.sites).delete('PS1')], { sync: true });
    await hierarchy.until(async () => (await seen()) === undefined, 'it is taken out');
    await cas.define({ ...facts, kind: 'primary' });
    await hierarchy.until(async () => (await seen()) !== undefined, 'it is back');
    assert.doesNotMatch((await seen())?.reason ?? '', /made known as/);
  });

  it('refuses changes of a clock an hour ahead, says so, and takes them when it is time', async () => {
    ps1.skewMs = 3_600_000;
    await put(ps1, point('DP1', 'from the future'));
    const reasonOf = async () => (await cas.manager.neighbours())[0]?.reason ?? '';
    await hierarchy.until(async () => (await reasonOf()).includes('in the future'), 'refusal');
    assert.deepEqual(await points(cas), []);
    const before = hierarchy.messageCount;
    await hierarchy.clock.advance(60_000);
    assert.ok(hierarchy.messageCount - before < 60 * 20, 'it does not spin');
    ps1.skewMs = 0;
    cas.skewMs = 3_600_000;
    await converged(hierarchy);
    assert.deepEqual(await points(cas), ['DP1']);
  });

  it('goes on with other origins while one has a wrong clock', async () => {
    const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    await converged(hierarchy);
    sec.skewMs = 3_600_000;
    await put(sec, point('LATER'));
    const reasonOf = async () => (await ps1.manager.neighbours())[1]?.reason ?? '';
    await hierarchy.until(async () => (await reasonOf()).includes('in the future'), 'refusal');
    await put(cas, point('DOWN'));
    await put(ps1, point('UP'));
    await hierarchy.until(async () => (await points(sec)).length === 3, 'rows at SEC');
    await hierarchy.until(async () => (await points(cas)).length === 2, 'rows at CAS');
    const [, standing] = await ps1.manager.neighbours();
    assert.deepEqual([standing?.connected, standing?.reason.includes('future')], [true, true]);
    for (const site of [cas, ps1]) site.skewMs = 3_600_000;
    await converged(hierarchy);
    await hierarchy.until(async () => (await reasonOf()) === '', 'all is well');
  });

  it('audits and tells what its parent sends and may not', async () => {
    ps1.checks = { 'hierarchy-distribution-points': () => 'this test wants none' };
    await ps1.stop();
    await ps1.start();
    await put(cas, point('DP1'));
    await hierarchy.until(() => ps1.audit.length > 0, 'audit');
    assert.deepEqual(
      [ps1.audit[0]?.result, ps1.audit[0]?.caller],
      ['REPLICATION_ROW_REFUSED', 'waybill://site/CAS'],
    );
    const reasonOf = async () => (await cas.manager.neighbours())[0]?.reason ?? '';
    await hierarchy.until(async () => (await reasonOf()).includes('this test wants none'), 'word');
    assert.deepEqual(await points(ps1), []);
  });

  it('tells who waits for a neighbour each time its stream comes up', async () => {
    let count = 0;
    const end = cas.manager.onConnected('PS1', () => count++);
    const isConnected = async () => (await cas.manager.neighbours())[0]?.connected === true;
    await hierarchy.until(isConnected, 'connection');
    const before = count;
    hierarchy.cutAll('PS1');
    await hierarchy.until(() => count === before + 1, 'second connection');
    end();
    hierarchy.cutAll('PS1');
    await hierarchy.until(isConnected, 'third connection');
    assert.equal(count, before + 1);
  });

  it('keeps a bounded number of the status messages of each site below', async () => {
    const { siteStatusMessageCountMax } = hierarchy.config;
    const serial = siteStatusMessageCountMax + 5;
    const rows = cas.store.records(keySpaces.siteStatusMessages);
    const old = { serial: 1, messageId: 2300, timeMs: 1, siteCode: 'PS1' } as const;
    const about = { insertionStrings: [], packageId: '', sourceVersion: 0, dpId: '' };
    await cas.store.write([rows.put(joinKey('PS1', 1), { ...old, ...about })], { sync: true });
    const own = ps1.store.records(keySpaces.statusMessages);
    await ps1.store.write([own.put(joinKey(serial), { ...old, ...about, serial })], { sync: true });
    const keys = async () => [...(await cas.rows(keySpaces.siteStatusMessages)).keys()];
    await hierarchy.until(async () => (await keys())[0] === joinKey('PS1', serial), 'messages');
    assert.equal((await keys()).length, 1);
  });
});

/** Takes the store of PS1 back to a time before its last change. */
async function forgetful(hierarchy: TestHierarchy, lastSequence: number) {
  const { StateStore } = await import('../../shared/state-store/state-store.ts');
  const directory = hierarchy.directory.join('PS1', 'state');
  const { store } = await StateStore.open({ directory, logger: hierarchy.site('PS1').log.logger });
  const own = store.records(keySpaces.ownLogState);
  const state = await own.get('own');
  assert.ok(state);
  await store.write(
    [
      own.put('own', { ...state, syncedSequence: lastSequence }),
      store.records(keySpaces.changeLog).delete(joinKey('PS1', lastSequence + 1)),
      store.records(keySpaces.rowVersions).delete('hierarchy-distribution-points/DP2'),
      store.records(keySpaces.hierarchyDistributionPoints).delete('DP2'),
    ],
    { sync: true },
  );
  return { store };
}
