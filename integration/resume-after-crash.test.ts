import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openFilesUnder } from '../shared/testing/open-files.ts';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import { Administrator, type Job } from './administrator.ts';
import type { AgentProcess } from './agent-process.ts';
import { CountingProxy } from './counting-proxy.ts';
import { Network } from './network.ts';
import { extractPackage } from './programs.ts';
import { writeNoise, writeSmallFiles } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeFingerprint } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const dpId = 'PS1DP1';

/** Streams of a transfer, each with at most one message of a piece unacknowledged. */
const lanes = 8;

const { killCount, killsInOnePush, sizeBytes, timeoutMs } = byScale({
  short: { killCount: 1, killsInOnePush: 3, sizeBytes: 64 * mebibyte, timeoutMs: 120_000 },
  long: { killCount: 25, killsInOnePush: 25, sizeBytes: 1024 * mebibyte, timeoutMs: 600_000 },
});

/** Of the bytes of content, what TLS, gRPC, manifests and questions make of them when nothing breaks. */
const unbrokenShareMax = 1.01;
/** A handshake, and what is said again before content goes on. */
const reconnectBytesMax = 256 * 1024;

describe(`a push that is broken off by kill -9 (ROLE-2, PTM-7; seed ${testSeed})`, () => {
  const random = new SeededRandom(testSeed);
  let network: Network;
  let administrator: Administrator;
  let proxy: CountingProxy;
  let packageId: string;
  let fingerprint: string;
  /** What goes over the wire when nothing breaks. */
  let unbrokenBytes: number;

  before(async function () {
    this.timeout(timeoutMs);
    network = await Network.start({ distributionPoints: [dpId] });
    administrator = await Administrator.of(network);
    proxy = await CountingProxy.start(network.dp(dpId).address);
    await administrator.setAddress(dpId, proxy.address);
    const source = join(network.directory, 'source');
    await makeSource(source);
    fingerprint = await treeFingerprint(source);
    packageId = await administrator.create(source);
    const pushed = await pushThrough([]);
    report('no kill', pushed);
    unbrokenBytes = pushed.sentBytes;
    // Else a push that sends twice without a kill would make room for one that does after it.
    assert.ok(unbrokenBytes <= unbrokenShareMax * sizeBytes, `${unbrokenBytes} bytes`);
  });

  after(async () => {
    await network.stop();
    await proxy[Symbol.asyncDispose]();
  });

  /** Half of it one file, a quarter files of a few pieces, a quarter small files. */
  async function makeSource(source: string): Promise<void> {
    await writeNoise(join(source, 'half.wim'), { bytes: sizeBytes / 2, seed: testSeed });
    for (let index = 0; index < sizeBytes / 4 / (4 * mebibyte); index++) {
      const path = join(source, 'parts', `${index}.cab`);
      await writeNoise(path, { bytes: 4 * mebibyte, seed: testSeed + 1 + index });
    }
    const count = sizeBytes / 4 / 16_384;
    const small = { count, bytes: 16_384, seed: testSeed + 1_000_000 };
    await writeSmallFiles(join(source, 'small'), small);
  }

  function pickVictim(): AgentProcess {
    return random.pick([network.site, network.dp(dpId)]);
  }

  /** Makes the DP a new machine. */
  async function emptyDp(): Promise<void> {
    await network.dp(dpId).kill();
    await rm(network.dataDirectoryOf(dpId), { recursive: true });
    await network.dp(dpId).start();
  }

  /** Pushes the package to an empty DP, killing an agent whenever so many bytes have been sent. */
  async function pushThrough(kills: readonly { atBytes: number; victim: AgentProcess }[]) {
    await emptyDp();
    proxy.reset();
    await administrator.distribute(packageId, dpId);
    for (const { atBytes, victim } of kills) {
      await proxy.whenForwarded(atBytes);
      await victim.kill();
      await victim.start();
    }
    const row = await administrator.installed({ packageId, dpId });
    const sentBytes = proxy.forwardedBytes;
    const { packageHash } = await administrator.getPackage(packageId);
    assert.deepEqual(row.verifiedHash, packageHash);
    return { sentBytes, job: await takeOff() };
  }

  /** Compares, and removes the package, so that the next push begins anew. @returns the job */
  async function takeOff(): Promise<Job> {
    const out = await extractPackage(network, dpId, packageId);
    assert.equal(await treeFingerprint(out), fingerprint);
    await rm(out, { recursive: true });
    assert.deepEqual(await administrator.openJobs(), []);
    for (const agent of [network.site, network.dp(dpId)]) {
      const library = join(network.dataDirectoryOf(agent.name), 'content-library');
      for (const room of ['data-lib', 'staging', 'incoming']) {
        assert.deepEqual(await openFilesUnder(join(library, room), agent.pid), []);
      }
    }
    const job = await administrator.lastJob({ packageId, dpId });
    await administrator.remove(packageId, dpId);
    await administrator.removed({ packageId, dpId });
    return job;
  }

  function boundOf(kills: number): number {
    return unbrokenBytes + kills * (lanes * mebibyte + reconnectBytesMax);
  }

  function report(kills: string, { sentBytes, job }: { sentBytes: number; job: Job }): void {
    const mib = (bytes: number) => (bytes / mebibyte).toFixed(1);
    const again = mib(sentBytes - sizeBytes);
    const counted = mib(Number(job.bytesSent));
    process.stdout.write(
      `      ${kills}: ${mib(sentBytes)} MiB on the wire, ${again} more than content; ` +
        `the job's row says ${counted}; ${job.tryCount} tries\n`,
    );
  }

  for (let kill = 1; kill <= killCount; kill++) {
    it(`ends identical, sending at most a piece a stream again: kill ${kill} of ${killCount}`, async function () {
      this.timeout(timeoutMs);
      const victim = kill % 2 === 0 ? network.dp(dpId) : network.site;
      const atBytes = Math.floor(random.next() * sizeBytes);
      const ended = await endedCount();
      const pushed = await pushThrough([{ atBytes, victim }]);
      report(`${victim.name} at ${Math.floor((100 * atBytes) / sizeBytes)} %`, pushed);
      assert.ok(pushed.sentBytes >= sizeBytes);
      assert.ok(pushed.sentBytes <= boundOf(1), `${pushed.sentBytes} bytes, over ${boundOf(1)}`);
      assert.equal(pushed.job.state, 'JOB_STATE_COMPLETE');
      assert.equal(await endedCount(), ended + 2, 'one job that brought it, one that removed it');
    });
  }

  it(`ends identical when it is broken off ${killsInOnePush} times`, async function () {
    this.timeout(timeoutMs);
    const points = Array.from({ length: killsInOnePush }, () => random.next() * sizeBytes);
    const kills = points
      .sort((a, b) => a - b)
      .map((atBytes) => ({ atBytes, victim: pickVictim() }));
    const ended = await endedCount();
    const pushed = await pushThrough(kills);
    report(`${killsInOnePush} kills`, pushed);
    const bound = boundOf(killsInOnePush);
    assert.ok(pushed.sentBytes <= bound, `${pushed.sentBytes} bytes, over ${bound}`);
    assert.equal(await endedCount(), ended + 2, 'one job that brought it, one that removed it');
  });

  it('begins with a snapshot that is whole, however often that was broken off (PKG-2, DM-1)', async function () {
    this.timeout(timeoutMs);
    const again = await administrator.define(join(network.directory, 'source'));
    for (let kill = 0; kill < 2; kill++) {
      await administrator.packageIs(again, ({ state }) => state !== 'PACKAGE_STATE_PENDING');
      await network.site.kill();
      await network.site.start();
    }
    const { sourceVersion, packageHash } = await administrator.published(again);
    assert.equal(sourceVersion, 1);
    await administrator.install(again, dpId);
    const row = await administrator.installed({ packageId: again, dpId });
    assert.deepEqual(row.verifiedHash, packageHash);
    const out = await extractPackage(network, dpId, again);
    assert.equal(await treeFingerprint(out), fingerprint);
  });

  async function endedCount(): Promise<number> {
    return (await administrator.endedJobs({ packageId })).length;
  }
});
