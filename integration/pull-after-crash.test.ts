import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import { Administrator } from './administrator.ts';
import { CountingProxy } from './counting-proxy.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { writeNoise, writeSmallFiles } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeFingerprint } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const source = 'PS1DP1';
const pull = 'PS1DP2';

/** Streams of a download, each with one request at a time. */
const streams = 8;

const { killCount, sizeBytes, timeoutMs } = byScale({
  short: { killCount: 1, sizeBytes: 64 * mebibyte, timeoutMs: 120_000 },
  long: { killCount: 25, sizeBytes: 256 * mebibyte, timeoutMs: 600_000 },
});

/** What TLS, gRPC, manifests and holdings add to content, at most. */
const overheadMax = (connections: number) => 0.01 * sizeBytes + connections * 512 * 1024;

describe(`a pull that is broken off by kill -9 (PULL-4, PULL-8; seed ${testSeed})`, () => {
  const random = new SeededRandom(testSeed);
  let network: Network;
  let administrator: Administrator;
  let proxy: CountingProxy;
  let packageId: string;
  let fingerprint: string;

  before(async function () {
    this.timeout(timeoutMs);
    network = await Network.start({
      distributionPoints: [source, pull],
      pull: { [pull]: { sources: { [source]: 1 } } },
    });
    administrator = await Administrator.of(network);
    const tree = join(network.directory, 'source');
    await writeNoise(join(tree, 'image.wim'), { bytes: (sizeBytes * 3) / 4, seed: testSeed });
    const count = sizeBytes / 4 / 16_384;
    await writeSmallFiles(join(tree, 'small'), { count, bytes: 16_384, seed: testSeed + 1 });
    fingerprint = await treeFingerprint(tree);
    packageId = await administrator.create(tree);
    await administrator.install(packageId, source);
    proxy = await CountingProxy.start(network.dp(source).address);
    await administrator.setAddress(source, proxy.address);
  });

  after(async () => {
    await network.stop();
    await proxy?.[Symbol.asyncDispose]();
  });

  /** Makes the pull DP a new machine without the package. */
  async function emptyPull(): Promise<void> {
    await administrator.remove(packageId, pull);
    await administrator.removed({ packageId, dpId: pull });
    await network.dp(pull).kill();
    await rm(network.dataDirectoryOf(pull), { recursive: true });
    await network.dp(pull).start();
  }

  for (const victimName of [pull, source, 'PS1'] as const) {
    for (let kill = 1; kill <= killCount; kill++) {
      it(`ends identical, told once, with at most a piece a stream fetched again: ${victimName}, kill ${kill} of ${killCount}`, async function () {
        this.timeout(timeoutMs);
        await emptyPull();
        const toldBefore = await successesTold();
        proxy.reset();
        const atBytes = Math.floor(random.next() * sizeBytes);
        await administrator.distribute(packageId, pull);
        await proxy.whenReturned(atBytes);
        const victim = victimName === 'PS1' ? network.site : network.dp(victimName);
        await victim.kill();
        await victim.start();
        const row = await administrator.installed({ packageId, dpId: pull });
        assert.deepEqual(row.verifiedHash, (await administrator.getPackage(packageId)).packageHash);
        const out = await extractPackage(network, pull, packageId);
        assert.equal(await treeFingerprint(out), fingerprint);
        await rm(out, { recursive: true });
        assert.deepEqual(await administrator.openJobs(), []);
        assert.equal(await successesTold(), toldBefore + 1);
        const bound = sizeBytes + streams * mebibyte + overheadMax(3);
        const percent = Math.floor((100 * atBytes) / sizeBytes);
        const mib = (proxy.returnedBytes / mebibyte).toFixed(1);
        process.stdout.write(`      ${victimName} at ${percent} %: ${mib} MiB on the wire\n`);
        assert.ok(proxy.returnedBytes <= bound, `${proxy.returnedBytes} bytes, over ${bound}`);
      });
    }
  }

  async function successesTold(): Promise<number> {
    const messages = await administrator.messages({ packageId, dpId: pull });
    return messages.filter(({ messageId }) => messageId === 2330).length;
  }
});
