import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { testPackage, testStatus } from './testing/random-edits.ts';
import { converged } from './testing/replicated-state.ts';
import { TestHierarchy, type TestSite } from './testing/test-hierarchy.ts';

describe('a site that was deleted (ADM-3, REP-1)', () => {
  let hierarchy: TestHierarchy;
  let cas: TestSite;
  let ps1: TestSite;
  let sec: TestSite;
  beforeEach(async () => {
    hierarchy = await TestHierarchy.create();
    cas = await hierarchy.add('CAS', 'central-administration');
    ps1 = await hierarchy.add('PS1', 'primary', 'CAS');
    sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    const packages = cas.store.records(keySpaces.packages);
    await cas.store.write([packages.put('CAS00001', testPackage('CAS00001', 'x'))], { sync: true });
    const requests = sec.store.records(keySpaces.packageRequests);
    const asked = { packageId: 'CAS00001', siteCode: 'SEC', updateCount: 1, isDeletion: false };
    const statuses = sec.store.records(keySpaces.packageStatus);
    await sec.store.write(
      [
        requests.put('CAS00001/SEC', asked),
        statuses.put('CAS00001/', testStatus('CAS00001', '', 1)),
        ...sec.status.message({ messageId: 2300, insertionStrings: ['x'] }),
      ],
      { sync: true },
    );
    await converged(hierarchy);
    const isTold = async () => (await cas.rows(keySpaces.siteStatusMessages)).size > 0;
    await hierarchy.until(isTold, 'message');
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());

  async function putAtSecondary(dpId: string): Promise<void> {
    const points = sec.store.records(keySpaces.hierarchyDistributionPoints);
    const point = { dpId, address: 'a:1', kind: 'standard', siteCode: 'PS1' } as const;
    await sec.store.write([points.put(dpId, { ...point, description: '' })], { sync: true });
  }

  const deleteSecondary = () =>
    cas.store.write([cas.store.records(keySpaces.sites).delete('SEC')], { sync: true });

  const leftOf = async (site: TestSite) => {
    const left: string[] = [];
    for (const space of [
      keySpaces.packageRequests,
      keySpaces.sitePackageStatus,
      keySpaces.siteStatusMessages,
      keySpaces.originStates,
      keySpaces.neighbourStates,
    ] as const) {
      for (const [key] of await site.rows<unknown>(space)) {
        if (key.includes('SEC')) left.push(`${space.name} ${key}`);
      }
    }
    return left;
  };
  const isForgotten = async (site: TestSite) => (await leftOf(site)).length === 0;

  it('leaves nothing but what any site might have written', async () => {
    await putAtSecondary('DP1');
    await converged(hierarchy);
    await deleteSecondary();
    for (const site of [cas, ps1]) await hierarchy.until(() => isForgotten(site), site.code);
    await hierarchy.clock.advance(10_000);
    for (const site of [cas, ps1]) {
      assert.deepEqual(await leftOf(site), [], site.code);
      const points = await site.rows(keySpaces.hierarchyDistributionPoints);
      assert.deepEqual([...points.keys()], ['DP1'], site.code);
    }
  });

  it('has what it wrote last passed on by its parent', async () => {
    hierarchy.cut('PS1', 'CAS');
    await putAtSecondary('LAST');
    const isAtParent = async () =>
      (await ps1.rows(keySpaces.hierarchyDistributionPoints)).has('LAST');
    await hierarchy.until(isAtParent, 'row at PS1');
    await deleteSecondary();
    hierarchy.mendAll();
    const isAtTop = async () => (await cas.rows(keySpaces.hierarchyDistributionPoints)).has('LAST');
    await hierarchy.until(isAtTop, 'row at CAS');
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    const isThere = async () => (await ps2.rows(keySpaces.hierarchyDistributionPoints)).size === 1;
    await hierarchy.until(isThere, 'row at PS2');
    assert.deepEqual(cas.log.messages(40), []);
  });

  it('is forgotten at the next start, when there was no time', async () => {
    const version = { changedAt: cas.capture.clock.now(), sequence: 0, isDeleted: true };
    const name = { table: 'sites', key: 'SEC' } as const;
    // As a crash right after the deletion leaves it.
    const deletion = ps1.capture.renumbered(name, version);
    await ps1.store.write(ps1.capture.foreign(deletion), { sync: true });
    await ps1.stop();
    const { StateStore } = await import('../../shared/state-store/state-store.ts');
    const directory = hierarchy.directory.join('PS1', 'state');
    const { store } = await StateStore.open({ directory, logger: ps1.log.logger });
    await store.write([store.records(keySpaces.sites).delete('SEC')], { sync: true });
    await store.close();
    await ps1.start();
    await hierarchy.until(() => isForgotten(ps1), 'PS1');
  });

  it('brings all it has when it is made known again', async () => {
    await putAtSecondary('DP1');
    await converged(hierarchy);
    await deleteSecondary();
    await hierarchy.until(() => isForgotten(cas), 'CAS');
    await hierarchy.until(() => isForgotten(ps1), 'PS1');
    const definition = { siteCode: 'SEC', kind: 'secondary', parentSiteCode: 'PS1' } as const;
    await cas.define({ ...definition, address: '', description: '' });
    await converged(hierarchy);
    const points = await cas.rows(keySpaces.hierarchyDistributionPoints);
    assert.deepEqual([...points.keys()], ['DP1']);
    assert.ok((await cas.rows(keySpaces.packageRequests)).has('CAS00001/SEC'));
  });

  it('brings all it has when it is made known again while it is just being forgotten', async () => {
    const requests = sec.store.records(keySpaces.packageRequests);
    const ids = Array.from({ length: 100 }, (_, at) => `CAS10${String(at).padStart(3, '0')}`);
    const asked = { siteCode: 'SEC', updateCount: 1, isDeletion: false };
    const puts = ids.map((id) => requests.put(`${id}/SEC`, { packageId: id, ...asked }));
    await sec.store.write(puts, { sync: true });
    await converged(hierarchy);
    const definition = { siteCode: 'SEC', kind: 'secondary', parentSiteCode: 'PS1' } as const;
    let isBack: Promise<void> | undefined;
    ps1.store.onWritten((changes) => {
      const isBegun = changes.some(
        ({ type, space }) => type === 'delete' && space === keySpaces.packageRequests.name,
      );
      if (isBegun) isBack ??= ps1.define({ ...definition, address: '', description: '' });
    });
    await ps1.store.write([ps1.store.records(keySpaces.sites).delete('SEC')], { sync: true });
    await hierarchy.until(() => isBack !== undefined, 'forgetting');
    await isBack;
    await converged(hierarchy);
    for (const site of [ps1, cas]) {
      const there = [...(await site.rows(keySpaces.packageRequests)).keys()];
      assert.deepEqual(there, ['CAS00001/SEC', ...ids.map((id) => `${id}/SEC`)], site.code);
      const messages = await site.rows(keySpaces.siteStatusMessages);
      assert.ok(
        [...messages.keys()].some((key) => key.startsWith('SEC/')),
        site.code,
      );
    }
  });
});
