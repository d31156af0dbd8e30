import assert from 'node:assert/strict';
import type { PackageAssignment, SiteContent } from '../../shared/domain/hierarchy-package.ts';
import type { ForwardingFailure } from '../../shared/domain/site-delivery.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import { PackageStore } from '../distribution-manager/package-store.ts';
import { openTestMachine } from '../distribution-manager/testing/test-site.ts';
import { DeliveryFailures } from './delivery-failures.ts';

const packageId = 'CS100001';

describe('packages that could not be brought to a site (ADM-1)', () => {
  let machine: Awaited<ReturnType<typeof openTestMachine>>;
  let failures: DeliveryFailures;

  beforeEach(async () => {
    machine = await openTestMachine();
    const { store, clock } = machine;
    const packages = new PackageStore({ store, clock });
    const hierarchyPackages = new HierarchyPackageRows({ store, siteCode: 'CS1' });
    const site = { address: '', description: '' };
    const tree = new SiteTree([
      { siteCode: 'CS1', kind: 'central-administration', parentSiteCode: '', ...site },
      { siteCode: 'PS1', kind: 'primary', parentSiteCode: 'CS1', ...site },
      { siteCode: 'PS2', kind: 'primary', parentSiteCode: 'CS1', ...site },
    ]);
    failures = new DeliveryFailures({ store, packages, hierarchyPackages, sites: { tree } });
    const sitePackage = { packageId, sourceVersion: 2 } as SitePackage;
    await store.write([packages.packages.put(packageId, sitePackage)], { sync: false });
  });
  afterEach(() => machine[Symbol.asyncDispose]());

  async function wish(
    dpId: string,
    siteCode: string,
    intent: 'installed' | 'removed' = 'installed',
  ) {
    const action = intent === 'installed' ? 'add' : 'remove';
    const row: PackageAssignment = {
      ...{ packageId, dpId, siteCode, intent, action, wishId: dpId, wishedAtMs: 1 },
    };
    const records = machine.store.records(keySpaces.packageAssignments);
    await machine.store.write([records.put(joinKey(packageId, dpId), row)], { sync: false });
  }

  async function unsent(
    siteCode: string,
    finalSiteCode: string,
    facts: Partial<ForwardingFailure>,
  ) {
    const row = { packageId, siteCode, finalSiteCode, jobId: 'CS1-1', mayRepeat: false };
    const records = machine.store.records(keySpaces.forwardingFailures);
    const failure = { ...row, reason: 'no way', failedAtMs: 5, ...facts };
    const key = joinKey(packageId, siteCode, finalSiteCode);
    await machine.store.write([records.put(key, failure)], { sync: false });
  }

  async function content(siteCode: string, facts: Partial<SiteContent>) {
    const row: SiteContent = {
      ...{ packageId, siteCode, state: 'none', storedVersion: 0, storedHash: '', reason: '' },
      ...{ refusedJobId: '', needsFull: false, changedAtMs: 3, ...facts },
    };
    const records = machine.store.records(keySpaces.siteContents);
    await machine.store.write([records.put(joinKey(packageId, siteCode), row)], { sync: false });
  }

  it('are told with who could not, and why; of several reasons the newest', async () => {
    await wish('PS1DP1', 'PS1');
    await wish('PS2DP1', 'PS2');
    await unsent('CS1', 'PS1', { failedAtMs: 5 });
    await content('PS1', { state: 'refused', reason: 'older', storedVersion: 1 });
    await content('PS2', { state: 'refused', reason: 'no room', changedAtMs: 9 });
    assert.deepEqual(
      (await failures.of(packageId)).map((one) => [one.siteCode, one.reason, one.storedVersion]),
      [
        ['PS1', 'Site CS1 could not send it: no way', 1],
        ['PS2', 'Site PS2 could not store it: no room', 0],
      ],
    );
  });

  it('are none where nobody is to have it, where it is, or at a site that is gone', async () => {
    await unsent('CS1', 'PS1', {});
    await unsent('CS1', 'PS2', {});
    await unsent('CS1', 'PS9', {});
    await wish('PS1DP1', 'PS1', 'removed');
    await wish('PS2DP1', 'PS2');
    await wish('PS9DP1', 'PS9');
    await content('PS2', { state: 'stored', storedVersion: 2 });
    assert.deepEqual(await failures.of(packageId), []);
    await content('PS2', { state: 'stored', storedVersion: 1 });
    assert.equal((await failures.of(packageId)).length, 1, 'an older version is there');
  });
});
