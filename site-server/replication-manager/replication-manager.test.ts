import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { TestHierarchy } from './testing/test-hierarchy.ts';

describe('Replication Manager', () => {
  let hierarchy: TestHierarchy;
  beforeEach(async () => {
    hierarchy = await TestHierarchy.create();
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());

  it('brings a row from any site to every other (REP-1)', async () => {
    const cas = await hierarchy.add('CAS', 'central-administration');
    const ps1 = await hierarchy.add('PS1', 'primary', 'CAS');
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    const point = {
      dpId: 'DP1',
      address: 'dp1:1',
      kind: 'standard',
      description: '',
      siteCode: 'PS1',
    } as const;
    const points = sec.store.records(keySpaces.hierarchyDistributionPoints);
    await sec.store.write([points.put('DP1', point)], { sync: false });
    for (const site of [cas, ps1, ps2]) {
      const rows = site.store.records(keySpaces.hierarchyDistributionPoints);
      await hierarchy.until(async () => (await rows.get('DP1')) !== undefined, site.code);
      assert.deepEqual(await rows.get('DP1'), point);
      const sites = await site.rows(keySpaces.sites);
      assert.deepEqual([...sites.keys()], ['PS1', 'PS2', 'SEC']);
    }
  });
});
