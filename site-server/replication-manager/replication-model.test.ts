import assert from 'node:assert/strict';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { randomEdit, sayerOf } from './testing/random-edits.ts';
import { converged } from './testing/replicated-state.ts';
import { TestHierarchy, type TestSite } from './testing/test-hierarchy.ts';

const isLong = process.env.WAYBILL_TEST_SCALE === 'long';
const firstSeed = Number(process.env.WAYBILL_TEST_SEED ?? (isLong ? Date.now() % 1e6 : 1));
const seeds = Array.from({ length: isLong ? 200 : 4 }, (_, index) => firstSeed + index);
const stepCount = isLong ? 400 : 120;

const links: readonly [string, string][] = [
  ['PS1', 'CAS'],
  ['PS2', 'CAS'],
  ['S11', 'PS1'],
  ['S12', 'PS1'],
  ['S21', 'PS2'],
];

async function sixSites(hierarchy: TestHierarchy): Promise<string[]> {
  await hierarchy.add('CAS', 'central-administration');
  for (const [child, parent] of links) {
    await hierarchy.add(child, parent === 'CAS' ? 'primary' : 'secondary', parent);
  }
  return [...hierarchy.sites.keys()];
}

async function edit(random: SeededRandom, site: TestSite, codes: readonly string[]) {
  if (!site.isRunning) return;
  const changes = await randomEdit(random, site, codes);
  await site.store.write(changes, { sync: random.below(2) === 0 });
}

/** Each edit, cut, mend and restart, at any site, in any order. */
async function step(random: SeededRandom, hierarchy: TestHierarchy, codes: readonly string[]) {
  const site = hierarchy.site(random.pick(codes));
  const [child, parent] = random.pick(links);
  const kind = random.below(20);
  if (kind < 13) await edit(random, site, codes);
  else if (kind < 15) hierarchy.cut(child, parent);
  else if (kind < 17) hierarchy.mend(child, parent);
  else if (kind === 17) {
    await site.stop();
    await site.start();
  } else if (kind === 18)
    await site.store.write(
      site.status.message({ messageId: 2300, insertionStrings: [`${random.below(1e9)}`] }),
      { sync: false },
    );
  else await hierarchy.clock.advance(random.below(3_000));
}

describe('replication of six sites (REP-1)', () => {
  for (const seed of seeds) {
    it(`ends with equal rows, whatever is edited, cut and restarted (REP-1, REP-8), seed ${seed}`, async () => {
      await using hierarchy = await TestHierarchy.create();
      const random = new SeededRandom(seed);
      const codes = await sixSites(hierarchy);
      // What is of a site that is not known yet, anybody may say.
      await converged(hierarchy);
      // Streams break at any message: what was on its way is lost, its acknowledgement too.
      hierarchy.onMessage = () => {
        if (random.below(40) === 0) hierarchy.cutAll(random.pick(codes));
      };
      for (const code of codes) hierarchy.site(code).skewMs = random.below(60_000) - 30_000;
      for (let index = 0; index < stepCount; index++) await step(random, hierarchy, codes);
      hierarchy.mendAll();
      hierarchy.onMessage = () => {};
      await converged(hierarchy);
      for (const site of hierarchy.sites.values()) {
        const warnings = site.log.lines.filter(({ level }) => level >= 40);
        const others = warnings.filter(({ code }) => code !== 'REPLICATION_ROW_REFUSED');
        assert.deepEqual(others, [], `warnings at ${site.code}`);
      }
      await saidByOwners(hierarchy);
      await sameMessages(hierarchy);
    }).timeout(isLong ? 600_000 : 60_000);
  }
});

/** What packages read and run, their source sites or those above these have said. */
async function saidByOwners(hierarchy: TestHierarchy): Promise<void> {
  const top = hierarchy.site('CAS');
  for (const [packageId, row] of await top.rows(keySpaces.packageDefinitions)) {
    const commands = row.properties.programs.map(({ commandLine }) => commandLine);
    for (const word of [...row.directories, ...commands]) {
      const isOwners = top.directory.tree.isUnder(packageId.slice(0, 3), sayerOf(word));
      assert.ok(isOwners, `${packageId}: ${word}`);
    }
  }
}

/** What each site told is at all sites above it. */
async function sameMessages(hierarchy: TestHierarchy): Promise<void> {
  for (const [child] of links) {
    const site = hierarchy.site(child);
    const own = [...(await site.rows(keySpaces.statusMessages)).values()];
    const above = site.directory.tree.wayUp(child).slice(1);
    for (const code of above) {
      await hierarchy.until(async () => {
        const rows = await hierarchy.site(code).rows(keySpaces.siteStatusMessages);
        const kept = [...rows].filter(([key]) => key.startsWith(child)).map(([, row]) => row);
        return JSON.stringify(kept) === JSON.stringify(own);
      }, `messages of ${child} at ${code}`);
    }
  }
}
