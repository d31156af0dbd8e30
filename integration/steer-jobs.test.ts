import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import { Administrator, type AuditRecord, type Job, type PackageStatus } from './administrator.ts';
import { CountingProxy } from './counting-proxy.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { writeNoise, writeSmallFiles } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeFingerprint } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const pushed = 'PS1DP1';
const source = 'PS1DP2';
const pull = 'PS1DP3';

/** Streams of a transfer, each with at most one piece on its way. */
const streams = 8;

const { upCount, downCount, killCount, sizeBytes, timeoutMs } = byScale({
  short: { upCount: 2, downCount: 1, killCount: 1, sizeBytes: 32 * mebibyte, timeoutMs: 180_000 },
  long: {
    upCount: 50,
    downCount: 50,
    killCount: 50,
    sizeBytes: 256 * mebibyte,
    timeoutMs: 3_600_000,
  },
});

/** What TLS, gRPC, manifests and holdings add to content, at most. */
const overheadMax = 0.01 * sizeBytes + 2 * mebibyte;

describe(`jobs that an administrator cancels and suspends (PKG-9, ADM-2; seed ${testSeed})`, () => {
  const random = new SeededRandom(testSeed);
  let network: Network;
  let administrator: Administrator;
  let proxies: Record<'push' | 'pull', CountingProxy>;
  let packageId: string;
  let fingerprint: string;

  before(async function () {
    this.timeout(timeoutMs);
    network = await Network.start({
      distributionPoints: [pushed, source, pull],
      pull: { [pull]: { sources: { [source]: 1 } } },
    });
    administrator = await Administrator.of(network);
    const tree = join(network.directory, 'source');
    await writeNoise(join(tree, 'image.wim'), { bytes: (sizeBytes * 7) / 8, seed: testSeed });
    const count = sizeBytes / 8 / 16_384;
    await writeSmallFiles(join(tree, 'small'), { count, bytes: 16_384, seed: testSeed + 1 });
    fingerprint = await treeFingerprint(tree);
    packageId = await administrator.create(tree);
    await administrator.install(packageId, source);
    proxies = {
      push: await CountingProxy.start(network.dp(pushed).address),
      pull: await CountingProxy.start(network.dp(source).address),
    };
    await administrator.setAddress(pushed, proxies.push.address);
    await administrator.setAddress(source, proxies.pull.address);
  });

  after(async () => {
    await network.stop();
    for (const proxy of Object.values(proxies ?? {})) await proxy[Symbol.asyncDispose]();
  });

  for (const way of ['push', 'pull'] as const) {
    describe(`of a ${way}`, () => {
      const dpId = way === 'push' ? pushed : pull;
      const filter = () => ({ packageId, dpId });
      const carriedBytes = () =>
        way === 'push' ? proxies.push.forwardedBytes : proxies.pull.returnedBytes;

      /** Begins anew with an empty DP; resolves when so many bytes of the package have gone. */
      async function begin(atBytes: number): Promise<void> {
        if ((await administrator.statuses(filter())).length > 0) {
          await administrator.remove(packageId, dpId);
          await administrator.removed(filter());
        }
        await administrator.noJobIsOpen();
        await network.dp(dpId).kill();
        await rm(network.dataDirectoryOf(dpId), { recursive: true });
        await network.dp(dpId).start();
        proxies[way].reset();
        await administrator.distribute(packageId, dpId);
        if (way === 'push') await proxies.push.whenForwarded(atBytes);
        else await proxies.pull.whenReturned(atBytes);
      }

      /** What of the package the DP serves, whatever anybody says of it. */
      function isServed(): boolean {
        const library = join(network.dataDirectoryOf(dpId), 'content-library');
        return existsSync(join(library, 'pkg-lib', `${packageId}.json`));
      }

      /** The site says of the DP what is so, and the job is as it was cancelled. */
      async function assertTrue(cancelled: Job): Promise<void> {
        await administrator.noJobIsOpen();
        const status = await administrator.statusIs(filter(), isAtRest);
        assert.equal(status.state === 'PACKAGE_STATUS_STATE_INSTALLED', isServed(), status.reason);
        if (isServed()) assert.notEqual(status.verifiedHash.length, 0);
        const ended = await administrator.endedJobs(filter());
        const row = ended.find(({ jobSerial }) => jobSerial === cancelled.jobSerial);
        assert.equal(row?.state, 'JOB_STATE_CANCELLED');
        assert.equal(row?.unconfirmed, false);
      }

      const isAtRest = ({ state, reason }: PackageStatus) =>
        (state === 'PACKAGE_STATUS_STATE_INSTALL_FAILED' && !reason.includes('not confirmed')) ||
        state === 'PACKAGE_STATUS_STATE_INSTALLED';

      const randomBytes = () => Math.floor(random.next() * sizeBytes * 0.95);

      it(`ends confirmed while the DP is there, at ${upCount} random points`, async function () {
        this.timeout(timeoutMs);
        let cancelledCount = 0;
        for (let time = 1; time <= upCount; time++) {
          await begin(randomBytes());
          const [cancelled] = await administrator.steer('cancelJobs', filter());
          if (!cancelled) {
            // It was done before that was said.
            await administrator.installed(filter());
            continue;
          }
          cancelledCount += 1;
          assert.deepEqual(
            [cancelled.state, cancelled.unconfirmed],
            ['JOB_STATE_CANCELLED', false],
          );
          await network.dp(dpId).kill();
          await network.dp(dpId).start();
          await assertTrue(cancelled);
        }
        assert.ok(cancelledCount > 0);
        const isTold = ({ method, result, detail }: AuditRecord) =>
          method.endsWith('/CancelJobs') && result === 'ok' && detail.includes(`dpId=${dpId}`);
        assert.ok((await administrator.auditRecords()).some(isTold), 'who said it is known');
      });

      it(`is unconfirmed while the DP is down, and confirmed when it is back, at ${downCount} random points`, async function () {
        this.timeout(timeoutMs);
        for (let time = 1; time <= downCount; time++) {
          await begin(randomBytes());
          await network.dp(dpId).kill();
          const [cancelled] = await administrator.steer('cancelJobs', filter());
          if (!cancelled) {
            await network.dp(dpId).start();
            await administrator.installed(filter());
            continue;
          }
          assert.deepEqual([cancelled.state, cancelled.unconfirmed], ['JOB_STATE_CANCELLED', true]);
          const [order] = await administrator.openJobs(filter());
          assert.equal(order?.action, 'JOB_ACTION_CANCEL');
          // The order outlives the site, too.
          await network.site.kill();
          await network.site.start();
          await network.dp(dpId).start();
          await administrator.jobEnded(
            filter(),
            ({ jobSerial, unconfirmed }) => jobSerial === cancelled.jobSerial && !unconfirmed,
          );
          await assertTrue(cancelled);
        }
      });

      it(`is done or not done when the site is killed meanwhile, ${killCount} times`, async function () {
        this.timeout(timeoutMs);
        for (let time = 1; time <= killCount; time++) {
          await begin(randomBytes());
          const said = administrator.steer('cancelJobs', filter()).catch(() => []);
          await sleep(random.next() * 30);
          await network.site.kill();
          await said;
          await network.site.start();
          await administrator.noJobIsOpen();
          const [last] = await administrator.endedJobs(filter());
          if (last?.state === 'JOB_STATE_COMPLETE' && last.action === 'JOB_ACTION_ADD') {
            await administrator.installed(filter());
            continue;
          }
          const ended = await administrator.endedJobs(filter());
          const cancelled = ended.find(({ state }) => state === 'JOB_STATE_CANCELLED');
          assert.ok(cancelled);
          await assertTrue(cancelled);
        }
      });

      it('goes on where it was when it is resumed, also over kill -9 of the site', async function () {
        this.timeout(timeoutMs);
        await begin(Math.floor(sizeBytes * (0.2 + 0.4 * random.next())));
        const [suspended] = await administrator.steer('suspendJobs', filter());
        if (!suspended) return this.skip();
        assert.equal(suspended.state, 'JOB_STATE_SUSPENDED');
        await network.site.kill();
        await network.site.start();
        const [still] = await administrator.openJobs(filter());
        assert.equal(still?.state, 'JOB_STATE_SUSPENDED');
        assert.equal(still?.waitingReason, 'suspended');
        const before = carriedBytes();
        await administrator.messages();
        assert.ok(carriedBytes() <= before + mebibyte, 'nothing is sent of what is suspended');
        await administrator.steer('resumeJobs', filter());
        await administrator.installed(filter());
        const bound = sizeBytes + streams * mebibyte + overheadMax;
        const carried = carriedBytes();
        process.stdout.write(`      ${(carried / mebibyte).toFixed(1)} MiB on the wire\n`);
        assert.ok(carried <= bound, `${carried} bytes, over ${bound}`);
        const out = await extractPackage(network, dpId, packageId);
        assert.equal(await treeFingerprint(out), fingerprint);
      });
    });
  }
});
