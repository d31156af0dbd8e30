import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { extractPackage } from './programs.ts';
import { writeNoise } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;

const { sizeBytes, cuts, kills, killedBytes, timeoutMs } = byScale({
  short: {
    ...{ sizeBytes: 128 * mebibyte, cuts: 2 },
    ...{ kills: 2, killedBytes: 24 * mebibyte, timeoutMs: 300_000 },
  },
  long: {
    ...{ sizeBytes: 1024 * mebibyte, cuts: 20 },
    ...{ kills: 25, killedBytes: 256 * mebibyte, timeoutMs: 3_600_000 },
  },
});

/** Of the bytes of a package file, what may go over a link that is cut again and again. */
const sentShareMax = 1.02;
/** Replication, status and handshakes that share the link with it, for each connection. */
const talkBytesMax = mebibyte;
/** What may be on its way, and lost, when a process is killed. */
const lostBytesMax = 17 * mebibyte;

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
];
const dpId = 'PS1DP1';

/** Every fourth, from the first on, lasts until the sender has noticed; the others are over at once. */
const isLastingCut = (cut: number) => cut % 4 === 1;
const isRetrying = ({ state }: { state: string }) => state === 'SEND_REQUEST_STATE_RETRYING';

describe(`a package on its way to another site (seed ${testSeed})`, function () {
  this.timeout(timeoutMs);
  const random = new SeededRandom(testSeed);
  let network: HierarchyNetwork;
  let central: Administrator;
  let primary: Administrator;
  let sourceCount = 0;

  before(async () => {
    // A send waits for its site to come back, which dials again after each cut: soon, so that cuts are many.
    const site = { replication: { retryDelayMsMax: 1_000 } };
    network = await HierarchyNetwork.start({ sites, links: ['PS1'], site });
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
  });

  after(() => network?.stop());

  /** Publishes a package of noise at the central site. */
  async function publish(bytes: number): Promise<{ packageId: string; source: string }> {
    const seed = testSeed * 1_000 + ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes, seed });
    return { packageId: await central.create(source), source };
  }

  /** It is there, equal to its source, and was taken into the site's library once. */
  async function arrives({ packageId, source }: { packageId: string; source: string }) {
    await central.installed({ packageId, dpId });
    const name = `extracted-${packageId}`;
    const extracted = await extractPackage(network, dpId, packageId, name);
    assert.equal(await treeDifference(source, extracted), '');
    // Fifty of them would fill a disk.
    for (const tree of [source, extracted]) await rm(tree, { recursive: true });
    const stored = (await primary.messages({ packageId })).filter((one) => one.messageId === 4400);
    assert.equal(stored.length, 1, 'taken into the library once');
  }

  it(`sends at most ${sentShareMax} of its bytes over a link that is cut ${cuts} times (REP-5)`, async () => {
    const published = await publish(sizeBytes);
    const link = network.link('PS1');
    link.to.reset();
    await central.distribute(published.packageId, dpId);
    for (let cut = 1; cut <= cuts; cut++) {
      await link.to.whenForwarded((cut * sizeBytes) / (cuts + 1));
      link.cut();
      if (isLastingCut(cut)) await central.sendRequestIs(published, isRetrying);
      link.join();
    }
    await arrives(published);
    const sent = link.to.forwardedBytes;
    process.stdout.write(
      `      ${(sent / sizeBytes).toFixed(4)} of the bytes went over the link\n`,
    );
    assert.ok(sent <= sentShareMax * sizeBytes, `${sent} of ${sizeBytes}`);
  });

  for (const victim of ['CS1', 'PS1'] as const) {
    const role = victim === 'CS1' ? 'sender' : 'receiver';
    for (let kill = 1; kill <= kills; kill++) {
      it(`loses nothing and installs nothing twice when its ${role} is killed, ${kill} of ${kills} (REP-5, REP-6)`, async () => {
        const published = await publish(killedBytes);
        const link = network.link('PS1');
        link.to.reset();
        await central.distribute(published.packageId, dpId);
        await link.to.whenForwarded(Math.floor(random.next() * killedBytes));
        await network.agent(victim).kill();
        await network.agent(victim).start();
        await arrives(published);
        const sent = link.to.forwardedBytes;
        assert.ok(sent <= killedBytes + lostBytesMax + talkBytesMax, `${sent} of ${killedBytes}`);
      });
    }
  }
});
