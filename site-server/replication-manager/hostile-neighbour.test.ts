import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import type { SiteDefinition } from '../../shared/domain/site.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { testPackage } from './testing/random-edits.ts';
import { converged } from './testing/replicated-state.ts';
import { TestHierarchy, type TestSite } from './testing/test-hierarchy.ts';

const dayMs = 24 * 3_600_000;

describe('a neighbour that says what is not so (SEC-1)', () => {
  let hierarchy: TestHierarchy;
  let cas: TestSite;
  let ps1: TestSite;
  let sec: TestSite;
  beforeEach(async () => {
    hierarchy = await TestHierarchy.create();
    cas = await hierarchy.add('CAS', 'central-administration');
    ps1 = await hierarchy.add('PS1', 'primary', 'CAS');
    sec = await hierarchy.add('SEC', 'secondary', 'PS1');
    await converged(hierarchy);
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());

  /** Makes a site say that it knows this much of another one, when it connects again. */
  async function claim(site: TestSite, origin: string, sequence: number): Promise<void> {
    const states = site.store.records(keySpaces.originStates);
    const state = await states.get(origin);
    assert.ok(state);
    await site.store.write([states.put(origin, { ...state, sequence })], { sync: true });
    await site.stop();
    await site.start();
  }

  async function forge(site: TestSite, packageId: string, sequence: number): Promise<void> {
    const published = site.store.records(keySpaces.publishedPackages);
    await forgeRow(site, packageId.slice(0, 3), sequence, {
      row: `published-packages/${packageId}`,
      change: published.put(packageId, testPackage(packageId, 'forged')),
    });
  }

  async function forgeRow(
    site: TestSite,
    origin: string,
    sequence: number,
    { row, change }: { readonly row: string; readonly change: Change },
  ): Promise<void> {
    const wallMs = hierarchy.clock.nowMs() + site.skewMs + 1_000;
    const changedAt = { wallMs, counter: 0, siteCode: origin };
    const { store } = site;
    const log = store.records(keySpaces.changeLog);
    const key = `${origin}/${String(sequence).padStart(16, '0')}`;
    const forged = [
      change,
      store.records(keySpaces.rowVersions).put(row, { changedAt, sequence, isDeleted: false }),
      log.put(key, { row, wallMs: changedAt.wallMs, counter: 0 }),
    ];
    await store.write(site.capture.foreign(forged), { sync: true });
  }

  async function nameAt(site: TestSite, packageId: string) {
    return (await site.store.records(keySpaces.packages).get(packageId))?.properties.name;
  }

  async function put(site: TestSite, packageId: string) {
    const packages = site.store.records(keySpaces.packages);
    await site.store.write([packages.put(packageId, testPackage(packageId, 'true'))], {
      sync: true,
    });
  }

  const messagesOf = async (site: TestSite) =>
    [...(await site.rows(keySpaces.statusMessages)).values()].map(({ messageId }) => messageId);

  /** Waits until a site has said that another one knows more of it than it does itself. */
  const reported = (site: TestSite) =>
    hierarchy.until(async () => (await messagesOf(site)).includes(9007), 'report');

  /** What a site says has come to another one, and so has all that was said before. */
  async function comesThrough(packageId: string, from: TestSite, to: TestSite) {
    await put(from, packageId);
    const published = to.store.records(keySpaces.publishedPackages);
    const isThere = async () => (await published.get(packageId)) !== undefined;
    await hierarchy.until(isThere, `at ${to.code}`);
    await hierarchy.clock.advance(10_000);
  }

  it('does not rewrite its parent, whatever it says that it remembers', async () => {
    await put(ps1, 'PS100001');
    await converged(hierarchy);
    const sequence = ps1.capture.lastSequence + 5;
    await forge(sec, 'PS100001', sequence);
    await claim(sec, 'PS1', sequence);
    await reported(ps1);
    await comesThrough('PS100002', ps1, cas);
    assert.equal(await nameAt(ps1, 'PS100001'), 'true');
    const atCas = await cas.store.records(keySpaces.publishedPackages).get('PS100001');
    assert.equal(atCas?.properties.name, 'true');
    assert.ok(ps1.audit.some(({ detail }) => detail.includes('older copy')));
  });

  it('does not rewrite the top, once its store has been there for a while', async () => {
    for (const site of [cas, ps1, sec]) site.skewMs += 8 * dayMs;
    await put(cas, 'CAS00001');
    await converged(hierarchy);
    const sequence = cas.capture.lastSequence + 5;
    await forge(ps1, 'CAS00001', sequence);
    await claim(ps1, 'CAS', sequence);
    await reported(cas);
    await comesThrough('CAS00002', cas, ps1);
    assert.equal(await nameAt(cas, 'CAS00001'), 'true');
  });

  it('cannot use up the numbers of a site', async () => {
    const claimed = 2 ** 52 - 1;
    await claim(sec, 'PS1', claimed);
    const reason = async () => (await sec.manager.neighbours())[0]?.reason ?? '';
    await hierarchy.until(async () => (await reason()).includes('which this site has reached'));
    assert.ok(ps1.capture.lastSequence < 2 ** 42);
    await ps1.stop();
    await ps1.start();
    await ps1.define({ ...siteOf('S12', 'PS1'), description: 'goes on' });
    await hierarchy.until(async () => cas.directory.tree.get('S12') !== undefined, 'a change');
  });

  it('does not make a site go on from its numbers again and again', async () => {
    await claim(sec, 'PS1', ps1.capture.lastSequence + 5);
    await reported(ps1);
    const { life } = ps1.capture;
    await claim(sec, 'PS1', ps1.capture.lastSequence + 5);
    await hierarchy.until(async () => (await messagesOf(ps1)).includes(9005), 'refusal');
    assert.equal(ps1.capture.life, life);
  });

  it('does not take over a site that is elsewhere', async () => {
    await hierarchy.add('PS2', 'primary', 'CAS');
    await converged(hierarchy);
    await ps1.define(siteOf('PS2', 'PS1'));
    await sec.define({ ...siteOf('PS1', ''), kind: 'primary' });
    await converged(hierarchy);
    for (const site of hierarchy.sites.values()) {
      assert.equal(site.directory.tree.parentOf('PS2'), 'CAS', site.code);
      assert.equal(site.directory.tree.parentOf('PS1'), 'CAS', site.code);
    }
    const refused = cas.audit.map(({ result, detail }) => `${result} ${detail}`);
    assert.ok(
      refused.some((text) => text.includes('sites/PS2')),
      refused.join('\n'),
    );
  });

  /** A DP of PS2, as PS2 says it, and what PS1 and SEC may want instead. */
  async function pointOfPs2() {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    const facts = { dpId: 'PS2DP1', address: 'a:1', kind: 'standard', siteCode: 'PS2' } as const;
    const point = { ...facts, description: '' };
    const pointsOf = (site: TestSite) => site.store.records(keySpaces.hierarchyDistributionPoints);
    const put = (site: TestSite, changes: Partial<DistributionPoint>) =>
      site.store.write([pointsOf(site).put('PS2DP1', { ...point, ...changes })], { sync: true });
    const drop = (site: TestSite) =>
      site.store.write([pointsOf(site).delete('PS2DP1')], { sync: true });
    await put(ps2, {});
    await converged(hierarchy);
    const standing = async (site: TestSite) => (await pointsOf(site).get('PS2DP1')) ?? 'deleted';
    return { point, put, drop, standing };
  }

  for (const [what, attack] of [
    ['delete', (dp, site) => dp.drop(site)],
    ['take over', (dp, site) => dp.put(site, { siteCode: site.code })],
    ['point elsewhere', (dp, site) => dp.put(site, { address: 'evil:1' })],
  ] satisfies [
    string,
    (dp: Awaited<ReturnType<typeof pointOfPs2>>, site: TestSite) => Promise<void>,
  ][]) {
    it(`does not ${what} a DP of a site that is elsewhere`, async () => {
      const dp = await pointOfPs2();
      await attack(dp, ps1);
      await converged(hierarchy);
      await attack(dp, sec);
      await converged(hierarchy);
      for (const site of hierarchy.sites.values()) {
        assert.deepEqual(await dp.standing(site), dp.point, site.code);
      }
      const refused = cas.audit.map(({ detail }) => detail);
      assert.ok(
        refused.some((text) => text.includes('hierarchy-distribution-points/PS2DP1')),
        refused.join('\n'),
      );
    });
  }

  it('sets a DP of a site that is elsewhere, as an administrator there may (ROLE-4)', async () => {
    const dp = await pointOfPs2();
    await dp.put(sec, { description: 'asked at SEC' });
    await converged(hierarchy);
    for (const site of hierarchy.sites.values()) {
      const expected = { ...dp.point, description: 'asked at SEC' };
      assert.deepEqual(await dp.standing(site), expected, site.code);
    }
    assert.deepEqual(cas.audit, []);
  });

  it('does not decide what a package elsewhere reads and runs by naming it first, again and again', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    await converged(hierarchy);
    const packageId = 'PS100042';
    const row = testPackage(packageId, 'true');
    const own = toDefinition(row);
    const programs = [{ name: 'Install', commandLine: 'evil' }];
    let count = 0;
    const say = (site: TestSite, value: typeof own) => {
      const definitions = site.store.records(keySpaces.packageDefinitions);
      return site.store.write([definitions.put(packageId, value)], { sync: true });
    };
    const attack = () => {
      const properties = { ...own.properties, programs, description: `${++count}` };
      return say(ps2, { ...own, properties, directories: ['/etc/waybill'] });
    };
    const standing = async () => {
      const all = [...hierarchy.sites.values()];
      return Promise.all(
        all.map((site) => site.store.records(keySpaces.packageDefinitions).get(packageId)),
      );
    };
    const assertHarmless = async () => {
      for (const one of await standing()) {
        assert.deepEqual(one?.properties.programs ?? [], []);
        assert.deepEqual(one?.directories ?? [], []);
      }
    };
    // As far ahead as is taken: whatever PS1 says at the same time is earlier.
    ps2.skewMs += 9 * 60_000;
    await attack();
    await converged(hierarchy);
    await assertHarmless();
    hierarchy.cut('PS1', 'CAS');
    await put(ps1, packageId);
    await say(ps1, own);
    const refusedBefore = cas.audit.length;
    await attack();
    await hierarchy.until(() => cas.audit.length > refusedBefore, 'refusal');
    await attack();
    hierarchy.mend('PS1', 'CAS');
    await converged(hierarchy);
    await assertHarmless();
    // As its source site does when the row went with what was refused.
    await say(ps1, own);
    await converged(hierarchy);
    await attack();
    await converged(hierarchy);
    for (const one of await standing()) assert.deepEqual(one, own);
  });

  it('does not hold up a new directory by writing the row of a package again and again', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    const definitionsOf = (site: TestSite) => site.store.records(keySpaces.packageDefinitions);
    const own = toDefinition(testPackage('PS100042', 'true'));
    const say = (site: TestSite, value: typeof own) =>
      site.store.write([definitionsOf(site).put('PS100042', value)], { sync: true });
    await say(ps1, { ...own, directories: ['/srv/old'] });
    await converged(hierarchy);
    // As far ahead as is taken: whatever PS1 says is earlier, however often it says it.
    ps2.skewMs += 9 * 60_000;
    hierarchy.cut('PS1', 'CAS');
    await say(ps1, { ...own, directories: ['/srv/new'] });
    const properties = { ...own.properties, priority: 3 } as const;
    await say(ps2, { ...own, properties, directories: ['/srv/old'] });
    const atCas = () => definitionsOf(cas).get('PS100042');
    await hierarchy.until(async () => (await atCas())?.properties.priority === 3, 'at CAS');
    hierarchy.mend('PS1', 'CAS');
    await converged(hierarchy);
    for (const site of hierarchy.sites.values()) {
      const expected = { ...own, properties, directories: ['/srv/new'] };
      assert.deepEqual(await definitionsOf(site).get('PS100042'), expected, site.code);
    }
    await say(ps2, { ...own, directories: ['/srv/old'] });
    await converged(hierarchy);
    for (const site of hierarchy.sites.values()) {
      const { directories } = (await definitionsOf(site).get('PS100042')) ?? {};
      assert.deepEqual(directories, ['/srv/new'], site.code);
    }
  });

  it('does not decide what a package of a site reads that is not known everywhere yet', async () => {
    const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
    await converged(hierarchy);
    const definitionsOf = (site: TestSite) => site.store.records(keySpaces.packageDefinitions);
    const own = toDefinition(testPackage('S1200001', 'true'));
    const say = (site: TestSite, value: typeof own) =>
      site.store.write([definitionsOf(site).put('S1200001', value)], { sync: true });
    const assertStanding = async () => {
      await converged(hierarchy);
      for (const site of hierarchy.sites.values()) {
        const { directories } = (await definitionsOf(site).get('S1200001')) ?? {};
        assert.deepEqual(directories, ['/srv/new'], site.code);
      }
    };
    ps2.skewMs += 9 * 60_000;
    const evil = { ...own, directories: ['/etc/waybill'] };
    for (const isKnownFirst of [true, false]) {
      hierarchy.cut('PS1', 'CAS');
      const before = siteOf('S12', 'PS1');
      if (isKnownFirst) await ps1.define(before);
      await say(ps1, { ...own, directories: ['/srv/new'] });
      await ps1.define({ ...before, description: `said ${isKnownFirst ? 'before' : 'after'} it` });
      await say(ps2, evil);
      const atCas = () => definitionsOf(cas).get('S1200001');
      await hierarchy.until(
        async () => (await atCas())?.directories[0] === '/etc/waybill',
        'at CAS',
      );
      hierarchy.mend('PS1', 'CAS');
      await assertStanding();
      const records = cas.store.records(keySpaces.sites);
      await cas.store.write([records.delete('S12'), definitionsOf(cas).delete('S1200001')], {
        sync: true,
      });
      await converged(hierarchy);
    }
  });

  for (const [what, attack] of [
    [
      'deleting it before',
      async (site: TestSite) => {
        const records = site.store.records(keySpaces.sites);
        await site.define(siteOf('S12', site.code));
        await site.store.write([records.delete('S12')], { sync: true });
      },
    ],
    ['putting it elsewhere', (site: TestSite) => site.define(siteOf('S12', 'PS1'))],
  ] as const) {
    it(`does not hold up a new site of another one by ${what}`, async () => {
      const ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
      await converged(hierarchy);
      ps2.skewMs += 9 * 60_000;
      hierarchy.cut('PS1', 'CAS');
      hierarchy.cut('PS2', 'CAS');
      await ps1.define(siteOf('S12', 'PS1'));
      await attack(ps2);
      hierarchy.mend('PS2', 'CAS');
      const said = await ps2.store.records(keySpaces.rowVersions).get('sites/S12');
      const atCas = cas.store.records(keySpaces.originStates);
      const isRead = async () => ((await atCas.get('PS2'))?.sequence ?? 0) >= (said?.sequence ?? 1);
      await hierarchy.until(isRead, 'what PS2 said is read');
      hierarchy.mend('PS1', 'CAS');
      await hierarchy.until(() => cas.directory.tree.parentOf('S12') === 'PS1', 'at CAS');
      assert.equal(ps1.directory.tree.parentOf('S12'), 'PS1');
      assert.equal(sec.directory.tree.parentOf('S12'), 'PS1');
    });
  }

  it('does not make its parent remember that a DP elsewhere is deleted, or its own', async () => {
    const dp = await pointOfPs2();
    for (const site of hierarchy.sites.values()) site.skewMs += 8 * dayMs;
    await dp.put(cas, { description: 'as CAS says' });
    await converged(hierarchy);
    const sequence = cas.capture.lastSequence + 5;
    const points = ps1.store.records(keySpaces.hierarchyDistributionPoints);
    const taken = { ...dp.point, siteCode: 'PS1' };
    await forgeRow(ps1, 'CAS', sequence, {
      row: 'hierarchy-distribution-points/PS2DP1',
      change: points.put('PS2DP1', taken),
    });
    await claim(ps1, 'CAS', sequence);
    await reported(cas);
    await comesThrough('CAS00002', cas, ps1);
    assert.equal(((await dp.standing(cas)) as DistributionPoint).siteCode, 'PS2');
  });

  it('is not listened to any more once it is deleted', async () => {
    const { messageCount } = hierarchy;
    await cas.store.write([cas.store.records(keySpaces.sites).delete('SEC')], { sync: true });
    const isDeleted = async () => ps1.directory.tree.get('SEC') === undefined;
    await hierarchy.until(isDeleted, 'deletion at PS1');
    const points = sec.store.records(keySpaces.hierarchyDistributionPoints);
    const point = { dpId: 'DP1', address: 'a:1', kind: 'standard', siteCode: 'SEC' } as const;
    await sec.store.write([points.put('DP1', { ...point, description: '' })], { sync: true });
    const reason = async () => (await sec.manager.neighbours())[0]?.reason ?? '';
    await hierarchy.until(async () => (await reason()).includes('There is no site'), 'refusal');
    assert.equal((await ps1.rows(keySpaces.hierarchyDistributionPoints)).size, 0);
    assert.ok(hierarchy.messageCount - messageCount < 500);
  });
});

function siteOf(siteCode: string, parentSiteCode: string): SiteDefinition {
  return { siteCode, kind: 'secondary', parentSiteCode, address: '', description: '' };
}
