import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Administrator } from './administrator.ts';
import { dpIdsOf, HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { extractPackage } from './programs.ts';
import { writeNoise } from './source-files.ts';
import { byScale } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;

const { primaries, secondaries, dpsOfEach, sizeBytes, timeoutMs } = byScale({
  short: {
    ...{ primaries: 2, secondaries: 2, dpsOfEach: 1 },
    sizeBytes: 8 * mebibyte,
    timeoutMs: 180_000,
  },
  long: {
    ...{ primaries: 5, secondaries: 10, dpsOfEach: 2 },
    sizeBytes: 64 * mebibyte,
    timeoutMs: 1_800_000,
  },
});
/** What else goes over a link while a package does. */
const talkBytesMax = 4 * mebibyte;

function hierarchy(): SiteOfTest[] {
  const sites: SiteOfTest[] = [{ siteCode: 'CS1', kind: 'central-administration' }];
  const dpsOf = (code: string) => Array.from({ length: dpsOfEach }, (_, i) => `${code}DP${i + 1}`);
  const codeOf = (letters: string, number: number) => letters + number.toString(36).toUpperCase();
  for (let one = 1; one <= primaries; one++) {
    const siteCode = codeOf('PS', one);
    sites.push({ siteCode, kind: 'primary', parent: 'CS1', standard: dpsOf(siteCode) });
  }
  for (let one = 1; one <= secondaries; one++) {
    const siteCode = codeOf('SS', one);
    const parent = codeOf('PS', ((one - 1) % primaries) + 1);
    sites.push({ siteCode, kind: 'secondary', parent, standard: dpsOf(siteCode) });
  }
  return sites;
}

describe(`1 central, ${primaries} primary, ${secondaries} secondary sites`, function () {
  this.timeout(timeoutMs);
  const sites = hierarchy();
  const dpIds = sites.flatMap(dpIdsOf);
  const linked = sites.slice(1).map(({ siteCode }) => siteCode);
  let network: HierarchyNetwork;
  let central: Administrator;

  before(async () => {
    network = await HierarchyNetwork.start({ sites, links: linked });
    central = await network.administrator('CS1');
  });

  after(() => network?.stop());

  it(`have a package on all ${dpIds.length} DPs, and each link carried one copy (REP-2, REP-4)`, async () => {
    const source = join(network.directory, 'source');
    await writeNoise(join(source, 'image.wim'), { bytes: sizeBytes, seed: 1 });
    for (const siteCode of linked) network.link(siteCode).to.reset();
    const startedMs = performance.now();
    const packageId = await central.create(source);
    await central.distribute(packageId, ...dpIds);
    for (const dpId of dpIds) await central.installed({ packageId, dpId });
    const seconds = (performance.now() - startedMs) / 1000;
    const copies = linked.map((siteCode) => network.link(siteCode).to.forwardedBytes / sizeBytes);
    const range = `${Math.min(...copies).toFixed(3)} to ${Math.max(...copies).toFixed(3)}`;
    process.stdout.write(`      all after ${seconds.toFixed(1)} s; copies over a link: ${range}\n`);
    for (const siteCode of linked) {
      const sent = network.link(siteCode).to.forwardedBytes;
      assert.ok(sent > sizeBytes && sent < sizeBytes + talkBytesMax, `${siteCode}: ${sent}`);
    }
    for (const dpId of [dpIds[0], dpIds.at(-1)]) {
      const extracted = await extractPackage(network, dpId ?? '', packageId);
      assert.equal(await treeDifference(source, extracted), '');
    }
  });
});
