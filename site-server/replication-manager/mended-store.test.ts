import assert from 'node:assert/strict';
import { cp, rename, rm } from 'node:fs/promises';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import { sitesBelowMax } from '../../shared/domain/site-tree.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { testPackage, testStatus } from './testing/random-edits.ts';
import { converged } from './testing/replicated-state.ts';
import { TestHierarchy, type TestSite } from './testing/test-hierarchy.ts';
import { testSite } from './testing/test-sites.ts';

const rowId = 'hierarchy-distribution-points/DP1';

describe('a site whose store was repaired or put back (REP-1)', () => {
  let hierarchy: TestHierarchy;
  let cas: TestSite;
  let ps1: TestSite;
  beforeEach(async () => {
    hierarchy = await TestHierarchy.create();
    cas = await hierarchy.add('CAS', 'central-administration');
    ps1 = await hierarchy.add('PS1', 'primary', 'CAS');
    await put(cas, 'first');
    await converged(hierarchy);
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());

  const pointsOf = ({ store }: TestSite) => store.records(keySpaces.hierarchyDistributionPoints);

  async function put(site: TestSite, description: string): Promise<void> {
    const point: DistributionPoint = {
      ...{ dpId: 'DP1', address: 'a:1', kind: 'standard', siteCode: 'PS1', description },
    };
    await site.store.write([pointsOf(site).put('DP1', point)], { sync: true });
  }

  async function descriptionAt(site: TestSite): Promise<string | undefined> {
    return (await pointsOf(site).get('DP1'))?.description;
  }

  /** Does to the store of PS1 what a repair may have done. */
  async function damage(...changes: Change[]): Promise<void> {
    await ps1.store.write(ps1.capture.foreign(changes), { sync: true });
    await ps1.stop();
    await startDamaged();
  }

  async function startDamaged(): Promise<void> {
    await hierarchy.clock.advance(60_000);
    await ps1.start({ isStoreDamaged: true });
  }

  it('gets back a row of which only the version was kept', async () => {
    await damage(pointsOf(ps1).delete('DP1'));
    await converged(hierarchy);
    assert.equal(await descriptionAt(ps1), 'first');
  });

  it('gets back a row that was kept as it once was', async () => {
    const old = await pointsOf(ps1).get('DP1');
    assert.ok(old);
    await damage(pointsOf(ps1).put('DP1', { ...old, description: 'old' }));
    await converged(hierarchy);
    assert.equal(await descriptionAt(ps1), 'first');
  });

  it('does not bring back a row whose deletion was kept', async () => {
    const old = await pointsOf(ps1).get('DP1');
    assert.ok(old);
    await cas.store.write([pointsOf(cas).delete('DP1')], { sync: true });
    await converged(hierarchy);
    await damage(pointsOf(ps1).put('DP1', old));
    assert.equal(await descriptionAt(ps1), undefined);
    await converged(hierarchy);
  });

  it('says of a row without a version nothing that others know better', async () => {
    const old = await pointsOf(ps1).get('DP1');
    assert.ok(old);
    const versions = ps1.store.records(keySpaces.rowVersions);
    const entries = ps1.store.records(keySpaces.changeLog);
    const version = await versions.get(rowId);
    assert.ok(version);
    await damage(
      pointsOf(ps1).put('DP1', { ...old, description: 'old' }),
      versions.delete(rowId),
      entries.delete(joinKey('CAS', version.sequence)),
    );
    await converged(hierarchy);
    for (const site of [cas, ps1]) assert.equal(await descriptionAt(site), 'first', site.code);
  });

  it("does not say other sites' rows as its own", async () => {
    const packages = cas.store.records(keySpaces.packages);
    await cas.store.write([packages.put('CAS00001', testPackage('CAS00001', 'x'))], { sync: true });
    const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    const statuses = sec.store.records(keySpaces.packageStatus);
    await sec.store.write([statuses.put('CAS00001/', testStatus('CAS00001', '', 1))], {
      sync: true,
    });
    await converged(hierarchy);
    const versions = ps1.store.records(keySpaces.rowVersions);
    await damage(
      versions.delete('published-packages/CAS00001'),
      versions.delete('site-package-status/CAS00001/SEC/'),
    );
    await put(ps1, 'goes on');
    await converged(hierarchy);
    assert.equal(await descriptionAt(cas), 'goes on');
    assert.deepEqual(cas.log.messages(40), []);
  });

  it('at the top, takes all back once its sites are made known again', async () => {
    const packages = cas.store.records(keySpaces.packages);
    await cas.store.write([packages.put('CAS00001', testPackage('CAS00001', 'x'))], { sync: true });
    await converged(hierarchy);
    await cas.stop();
    await rm(hierarchy.directory.join('CAS'), { recursive: true });
    await hierarchy.clock.advance(60_000);
    await cas.start();
    const top = { kind: 'central-administration', parentSiteCode: '' } as const;
    const told = { address: '', description: '' };
    await cas.define({ siteCode: 'CAS', ...top, ...told });
    await cas.define({ siteCode: 'PS1', kind: 'primary', parentSiteCode: 'CAS', ...told });
    await converged(hierarchy);
    assert.equal(await descriptionAt(cas), 'first');
    assert.ok(await cas.store.records(keySpaces.packages).get('CAS00001'));
  });

  it('at the top, has no site deleted for which there is no room when it hears of it again', async () => {
    const code = (at: number) => `X${at.toString(36).padStart(2, '0').toUpperCase()}`;
    const sites = Array.from({ length: sitesBelowMax + 2 }, (_, at) =>
      testSite(code(at), 'secondary', 'PS1'),
    );
    const rows = sites.map((site) => ps1.store.records(keySpaces.sites).put(site.siteCode, site));
    await ps1.store.write(rows, { sync: true });
    await hierarchy.until(() => cas.directory.tree.size === sitesBelowMax + 2, 'those with room');
    await put(ps1, 'goes on');
    await hierarchy.until(async () => (await descriptionAt(cas)) === 'goes on', 'what follows');
    await hierarchy.clock.advance(10_000);
    assert.equal(ps1.directory.tree.size, sitesBelowMax + 4);
    assert.ok(cas.audit.some(({ detail }) => detail.includes('sites below itself')));
  });

  it('sends a row whose entry in its log was lost', async () => {
    hierarchy.cut('PS1', 'CAS');
    await put(ps1, 'second');
    const version = await ps1.store.records(keySpaces.rowVersions).get(rowId);
    assert.ok(version);
    await damage(ps1.store.records(keySpaces.changeLog).delete(joinKey('PS1', version.sequence)));
    hierarchy.mendAll();
    await converged(hierarchy);
    assert.equal(await descriptionAt(cas), 'second');
  });

  describe('of a package of which it has an old directory again', () => {
    const own = toDefinition(testPackage('PS100001', 'x'));
    const definitionsOf = ({ store }: TestSite) => store.records(keySpaces.packageDefinitions);
    const set = {
      ...own,
      directories: ['/srv/new'],
      properties: { ...own.properties, priority: 3 as const },
    };
    const say = async (site: TestSite, directory: string, more: Partial<typeof own> = {}) => {
      const row = definitionsOf(site).put('PS100001', {
        ...own,
        ...more,
        directories: [directory],
      });
      await site.store.write([row], { sync: true });
    };

    async function copyStore(): Promise<void> {
      await ps1.stop();
      const directory = hierarchy.directory.join('PS1');
      await cp(directory, hierarchy.directory.join('copy'), { recursive: true });
      await ps1.start();
    }

    async function putCopyBack(): Promise<void> {
      await ps1.stop();
      await rm(hierarchy.directory.join('PS1'), { recursive: true });
      await rename(hierarchy.directory.join('copy'), hierarchy.directory.join('PS1'));
    }

    async function directoriesAre(directory: string): Promise<void> {
      for (const site of hierarchy.sites.values()) {
        const found = await definitionsOf(site).get('PS100001');
        assert.deepEqual(found?.directories, [directory], site.code);
      }
    }

    const putBackLater = async () => {
      await putCopyBack();
      // Its numbers go on from the time of day, above all that it has forgotten.
      await hierarchy.clock.advance(40 * minuteMs);
      await ps1.start();
    };
    const loseVersion = async () => {
      const versions = ps1.store.records(keySpaces.rowVersions);
      await damage(
        definitionsOf(ps1).put('PS100001', { ...own, directories: ['/srv/old'] }),
        versions.delete('package-definitions/PS100001'),
      );
    };
    for (const [what, putBack] of [
      ['put back as it was', () => putCopyBack().then(() => ps1.start())],
      ['put back as it was, a while later', putBackLater],
      ['damaged, and had it with its version', () => putCopyBack().then(startDamaged)],
      ['damaged, and had it without its version', loseVersion],
    ] as const) {
      for (const [code, kind, parent] of [
        ['PS2', 'primary', 'CAS'],
        ['SEC', 'secondary', 'PS1'],
      ] as const) {
        it(`does not bring it back when its store was ${what}, and ${code} has set it since`, async () => {
          const other = await hierarchy.add(code, kind, parent);
          await say(ps1, '/srv/old');
          await converged(hierarchy);
          await copyStore();
          await say(ps1, '/srv/new');
          await converged(hierarchy);
          await say(other, '/srv/new', { properties: set.properties });
          await converged(hierarchy);
          await putBack();
          await converged(hierarchy);
          for (const site of hierarchy.sites.values()) {
            assert.deepEqual(await definitionsOf(site).get('PS100001'), set, site.code);
          }
        });
      }
    }

    it('takes from a site below what that sets meanwhile, once the site above has told what it is', async () => {
      const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
      await say(ps1, '/srv/old');
      await converged(hierarchy);
      await copyStore();
      await say(ps1, '/srv/new');
      await converged(hierarchy);
      await say(sec, '/srv/new', { properties: { ...own.properties, priority: 2 as const } });
      await converged(hierarchy);
      await putCopyBack();
      await say(sec, '/srv/new', { properties: set.properties });
      hierarchy.cut('PS1', 'CAS');
      await ps1.start();
      const isHeld = async () =>
        [...(await ps1.rows(keySpaces.statusMessages)).values()].some(
          ({ messageId }) => messageId === 9005,
        );
      await hierarchy.until(isHeld, 'report');
      assert.deepEqual((await definitionsOf(ps1).get('PS100001'))?.directories, ['/srv/old']);
      hierarchy.mendAll();
      await converged(hierarchy);
      for (const site of hierarchy.sites.values()) {
        assert.deepEqual(await definitionsOf(site).get('PS100001'), set, site.code);
      }
    });

    it('says it anew where only a site below knows the new one, for that has no say', async () => {
      const sec = await hierarchy.add('SEC', 'secondary', 'PS1');
      await say(ps1, '/srv/old');
      await converged(hierarchy);
      await copyStore();
      hierarchy.cut('PS1', 'CAS');
      await say(ps1, '/srv/new');
      const isHeard = async () =>
        (await definitionsOf(sec).get('PS100001'))?.directories[0] === '/srv/new';
      await hierarchy.until(isHeard, 'the new one below');
      await say(sec, '/srv/new', { properties: set.properties });
      await putCopyBack();
      await ps1.start();
      hierarchy.mendAll();
      await converged(hierarchy);
      await directoriesAre('/srv/old');
    });
  });

  /** Puts back the store of PS1 as it was before its last change, `restarts` starts ago. */
  async function putBack(restartCount: number): Promise<void> {
    await put(ps1, 'kept');
    await converged(hierarchy);
    const { lastSequence } = ps1.capture;
    const version = await ps1.store.records(keySpaces.rowVersions).get(rowId);
    const row = await pointsOf(ps1).get('DP1');
    const own = ps1.store.records(keySpaces.ownLogState);
    const state = await own.get('own');
    assert.ok(version && row && state);
    await put(ps1, 'forgotten');
    await converged(hierarchy);
    hierarchy.cut('PS1', 'CAS');
    const entries = ps1.store.records(keySpaces.changeLog);
    const entry = { row: rowId, wallMs: version.changedAt.wallMs, counter: 0 };
    const copied = [
      own.put('own', { ...state, syncedSequence: lastSequence }),
      entries.delete(joinKey('PS1', ps1.capture.lastSequence)),
      entries.put(joinKey('PS1', lastSequence), entry),
      ps1.store.records(keySpaces.rowVersions).put(rowId, version),
      pointsOf(ps1).put('DP1', row),
    ];
    await ps1.store.write(ps1.capture.foreign(copied), { sync: true });
    for (let count = 0; count < restartCount; count++) {
      await ps1.stop();
      await hierarchy.clock.advance(60_000);
      await ps1.start();
      const sites = ps1.store.records(keySpaces.routes);
      const route = { fromSiteCode: 'PS1', toSiteCode: 'CAS', addresses: [`h${count}:1`] };
      await ps1.store.write([sites.put('PS1/CAS', route)], { sync: true });
    }
    hierarchy.mendAll();
  }

  for (const restartCount of [1, 3]) {
    it(`gets back what it forgot, after ${restartCount} starts`, async () => {
      await putBack(restartCount);
      await converged(hierarchy);
      assert.equal(await descriptionAt(ps1), 'forgotten');
    });
  }

  it('goes on above what a neighbour knows, though its clock went back', async () => {
    ps1.skewMs = -4 * minuteMs;
    await putBack(1);
    await converged(hierarchy);
    for (const skewMs of [-6 * minuteMs, -8 * minuteMs]) {
      ps1.skewMs = skewMs;
      await ps1.stop();
      await ps1.start();
      await converged(hierarchy);
    }
    await put(ps1, 'since');
    await converged(hierarchy);
    assert.equal(await descriptionAt(cas), 'since');
  });
});

const minuteMs = 60_000;
