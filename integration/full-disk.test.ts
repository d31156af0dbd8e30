import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as nextLook } from 'node:timers/promises';
import { Administrator } from './administrator.ts';
import type { AgentProcess } from './agent-process.ts';
import { CountingProxy } from './counting-proxy.ts';
import { Network } from './network.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { SmallDisk } from './small-disk.ts';
import { writeNoise } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const dpId = 'PS1DP1';
const packageBytes = 24 * mebibyte;
const diskBytes = 40 * mebibyte;

/** Room is looked for often, so that nobody waits for it here. */
const distribution = { diskFullDelayMs: 200, diskFullDelayMsMax: 1_000 };

describe('a full disk (PTM-1, bad input)', () => {
  let directory: string;
  let source: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'waybill-'));
    source = join(directory, 'source');
    for (let index = 0; index < 3; index++) {
      const path = join(source, `${index}.bin`);
      await writeNoise(path, { bytes: packageBytes / 3, seed: index });
    }
  });

  afterEach(() => rm(directory, { recursive: true }));

  /** Mounts a small disk; where mounting is not allowed, as without root, skips and says why. */
  async function smallDisk(test: Mocha.Context, name: string): Promise<SmallDisk> {
    const disk = await SmallDisk.mount(join(directory, name), diskBytes);
    if (disk instanceof SmallDisk) return disk;
    process.stdout.write(`      ${disk}\n`);
    return test.skip();
  }

  function startNetwork(dp: Record<string, unknown>, site = {}): Promise<Network> {
    return Network.start({
      directory,
      distributionPoints: [dpId],
      dp: { reserveBytes: mebibyte, ...dp },
      site: { distribution, ...site },
    });
  }

  async function isEqual(network: Network, packageId: string): Promise<void> {
    assert.equal(await treeDifference(source, await extractPackage(network, dpId, packageId)), '');
  }

  /** Resolves when the command line says so: between two waits the job tries again. */
  async function showsFullDisk(network: Network): Promise<void> {
    for (let lastStdout = '', triesLeft = 20; ; triesLeft--) {
      if (triesLeft === 0) assert.match(lastStdout, /disk full at DP/i);
      lastStdout = (await runWaybill(network, ['jobs'])).stdout;
      if (/disk full at DP/i.test(lastStdout)) return;
    }
  }

  it('at a DP from the start: the job waits, says so, and goes on by itself when there is room (DM-4)', async function () {
    await using disk = await smallDisk(this, 'library');
    await using network = await startNetwork({ contentLibraryDirectory: disk.directory });
    const administrator = await Administrator.of(network);
    await disk.fill(8 * mebibyte);
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, dpId);
    const job = await administrator.jobIs({ packageId, dpId }, ({ waitingReason }) => {
      return waitingReason === 'disk-full-at-dp';
    });
    // Whether it was looked for before the job, or met in it.
    assert.match(job.reason, /\d+ bytes free; (up to )?\d+ are needed/);
    await showsFullDisk(network);
    await disk.makeRoom();
    await administrator.installed({ packageId, dpId });
    await isEqual(network, packageId);
    const jobs = await administrator.endedJobs({ packageId });
    assert.deepEqual(
      jobs.map(({ jobSerial, state }) => [jobSerial, state]),
      [[job.jobSerial, 'JOB_STATE_COMPLETE']],
    );
  });

  /** Pushes a new package through the proxy, until the disk is filled under it. @returns its ID */
  async function fillDuringPush(parts: {
    administrator: Administrator;
    proxy: CountingProxy;
    disk: Awaited<ReturnType<typeof smallDisk>>;
  }): Promise<string> {
    const { administrator, proxy, disk } = parts;
    await administrator.setAddress(dpId, proxy.address);
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, dpId);
    await proxy.whenForwarded(packageBytes / 3);
    await disk.fill();
    return packageId;
  }

  it('at a DP in the middle of a push: the same, and what came is not sent again', async function () {
    await using disk = await smallDisk(this, 'library');
    await using network = await startNetwork({ contentLibraryDirectory: disk.directory });
    const administrator = await Administrator.of(network);
    await using proxy = await CountingProxy.start(network.dp(dpId).address);
    const packageId = await fillDuringPush({ administrator, proxy, disk });
    await administrator.jobIs({ packageId, dpId }, ({ waitingReason }) => {
      return waitingReason === 'disk-full-at-dp';
    });
    await disk.makeRoom();
    await administrator.installed({ packageId, dpId });
    await isEqual(network, packageId);
    const again = proxy.forwardedBytes - packageBytes;
    assert.ok(again < 9 * mebibyte, `${again} bytes were sent again`);
  });

  it('at a DP, state store and all: it stays up or comes back, and nothing is lost', async function () {
    await using disk = await smallDisk(this, dpId);
    await using network = await startNetwork({});
    const administrator = await Administrator.of(network);
    await using proxy = await CountingProxy.start(network.dp(dpId).address);
    const packageId = await fillDuringPush({ administrator, proxy, disk });
    const job = await administrator.jobIs({ packageId, dpId }, ({ state }) => {
      return state === 'JOB_STATE_PENDING_RESTART';
    });
    assert.equal(job.waitingReason, 'disk-full-at-dp', job.reason);
    assert.ok(network.dp(dpId).isRunning);
    await disk.makeRoom();
    await administrator.installed({ packageId, dpId });
    await isEqual(network, packageId);
  });

  it('at the start of site and DP: they wait for room, say so, and go on by themselves', async function () {
    await using siteDisk = await smallDisk(this, 'PS1');
    await using dpDisk = await smallDisk(this, dpId);
    await using network = await startNetwork({});
    const agents = [network.site, network.dp(dpId)];
    for (const agent of agents) assert.equal(await agent.stop(), 0);
    for (const disk of [siteDisk, dpDisk]) await disk.fill();
    const starting = agents.map((agent) => agent.start());
    for (const agent of agents) await waitsForRoom(agent);
    for (const disk of [siteDisk, dpDisk]) await disk.makeRoom();
    await Promise.all(starting);
    const administrator = await Administrator.of(network);
    await rm(join(source, '1.bin'));
    await rm(join(source, '2.bin'));
    const packageId = await administrator.create(source);
    await administrator.install(packageId, dpId);
    await isEqual(network, packageId);
  });

  /** Resolves when an agent that starts has said that its disk is full; it has not ended. */
  async function waitsForRoom(agent: AgentProcess): Promise<void> {
    for (;;) {
      const log = await readFile(agent.logPath, 'utf8');
      if (/^The start waits for room on the disk: .*bytes free/m.test(log)) break;
      assert.ok(agent.isRunning, log);
      await nextLook(10);
    }
    assert.ok(agent.isRunning);
  }

  it('at the site: the snapshot waits, says so, and is taken by itself when there is room (PKG-2)', async function () {
    await using disk = await smallDisk(this, 'library');
    await using network = await startNetwork({}, { contentLibraryDirectory: disk.directory });
    const administrator = await Administrator.of(network);
    await disk.fill(8 * mebibyte);
    const packageId = await administrator.define(source);
    const waiting = await administrator.packageIs(packageId, ({ reason }) => reason !== '');
    assert.match(waiting.reason, /bytes free; \d+ are needed\. Make room; work goes on by itself/);
    assert.equal(waiting.sourceVersion, 0);
    const [message] = (await administrator.messages({ packageId })).slice(-1);
    assert.equal(message?.messageId, 2302);
    await disk.makeRoom();
    await administrator.published(packageId);
    await administrator.install(packageId, dpId);
    await isEqual(network, packageId);
  });
});
