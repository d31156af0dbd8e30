/**
 * The benchmarks: Waybill beside the bare gRPC stream and rsync over ssh, in the same run, on the
 * same data, one after another and again. rsync runs as it comes with ssh's own cipher, with the
 * fastest one, and with --fsync, which promises what a push does. Figures hold for this machine; the
 * ratios travel better. Takes room for six trees of each run in the temporary folder.
 *
 * Usage: npm run bench -- [--runs N] [--size BYTES] [--only push|small|update|latency]
 */
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Network } from '../integration/network.ts';
import { BareStream } from './bare-stream.ts';
import { changeOnePercent, makeBigFile, makeSmallFiles } from './data-sets.ts';
import {
  cpuSecondsOf,
  measured,
  peakRssBytes,
  percentile,
  type RunCost,
  resetPeakRss,
  stolenCpuSeconds,
} from './measure.ts';
import { printSeries } from './report.ts';
import { type RsyncOptions, RsyncPeer } from './rsync-peer.ts';
import { distribute, installed, publishPackage } from './waybill-run.ts';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    size: { type: 'string', default: String(1024 ** 3) },
    only: { type: 'string' },
  },
});
const runCount = Number(options.runs);
const dpId = 'PS1DP1';
const deadlineMs = 30_000;
const warmUpBytes = 512 * 1024 * 1024;
const smallFiles = { count: 10_000, bytes: 16 * 1024, seed: 2 };
const smallBytes = smallFiles.count * smallFiles.bytes;

const fastCipher: RsyncOptions = { ssh: ['-c aes128-gcm@openssh.com'] };
const durable: RsyncOptions = { rsync: ['--fsync'] };

/** Makes the tree of one run. */
type MakeSource = (directory: string, run: number) => Promise<void>;

class Bench {
  readonly directory: string;
  readonly network: Network;
  readonly rsync: RsyncPeer | undefined;
  readonly bare: BareStream;
  #isWarm = false;

  constructor(
    directory: string,
    parts: { network: Network; rsync: RsyncPeer | undefined; bare: BareStream },
  ) {
    this.directory = directory;
    this.network = parts.network;
    this.rsync = parts.rsync;
    this.bare = parts.bare;
  }

  static async start(): Promise<Bench> {
    const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
    const network = await Network.start({
      directory: join(directory, 'network'),
      distributionPoints: [dpId],
    });
    const site = network.certificateFiles({ kind: 'site', siteCode: 'PS1' });
    const dp = network.certificateFiles({ kind: 'dp', dpId });
    const bare = await BareStream.start(site, dp);
    const rsync = await RsyncPeer.start(join(directory, 'ssh'));
    return new Bench(directory, { network, rsync, bare });
  }

  async stop(): Promise<void> {
    this.bare.stop();
    this.rsync?.stop();
    await this.network.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  /**
   * A push of a whole tree that nobody has seen before, to agents that have run for a while. Nothing
   * is deleted between the runs: ext4 takes ten times as long to create a file while it steers clear
   * of thousands of inodes deleted in the last minutes.
   */
  async measurePush(title: string, bytes: number, makeSource: MakeSource): Promise<void> {
    await this.#warmUp();
    const admin = await this.network.admin();
    const ours: RunCost[] = [];
    const bare: RunCost[] = [];
    const rsync: RunCost[] = [];
    const fastRsync: RunCost[] = [];
    const durableRsync: RunCost[] = [];
    const pids = [this.network.site.pid ?? 0, this.network.dp(dpId).pid ?? 0] as const;
    for (const pid of pids) resetPeakRss(pid);
    for (let run = 0; run < runCount; run++) {
      const source = join(this.directory, `${title} ${run}`);
      await makeSource(source, run);
      const packageId = await publishPackage(admin, source);
      ours.push(await this.#measured(() => distribute(admin, packageId, dpId)));
      bare.push(await this.#measuredBare(bytes));
      rsync.push(...(await this.#measuredRsync(source, `${source} rsync`)));
      fastRsync.push(...(await this.#measuredRsync(source, `${source} fast`, fastCipher)));
      durableRsync.push(...(await this.#measuredRsync(source, `${source} fsync`, durable)));
    }
    const [sender, receiver] = pids;
    printSeries(title, bytes, [
      { name: 'waybill push', runs: ours, peakRss: [peakRssBytes(sender), peakRssBytes(receiver)] },
      { name: 'bare gRPC stream', runs: bare },
      { name: 'rsync over ssh', runs: rsync },
      { name: 'rsync over ssh, AES-GCM', runs: fastRsync },
      { name: 'rsync --fsync over ssh', runs: durableRsync },
    ]);
  }

  /** Agents run for months: their first seconds are not what is measured. */
  async #warmUp(): Promise<void> {
    if (this.#isWarm) return;
    this.#isWarm = true;
    const admin = await this.network.admin();
    const big = join(this.directory, 'warm-up-big');
    const small = join(this.directory, 'warm-up-small');
    await makeBigFile(big, warmUpBytes, 99);
    await makeSmallFiles(small, { ...smallFiles, seed: 98 });
    for (const source of [big, small]) {
      await distribute(admin, await publishPackage(admin, source), dpId);
    }
    await this.bare.send(warmUpBytes);
  }

  #cpuSeconds(): number {
    const { site } = this.network;
    return cpuSecondsOf(site.pid ?? 0) + cpuSecondsOf(this.network.dp(dpId).pid ?? 0);
  }

  #measured(run: () => Promise<void>): Promise<RunCost> {
    quiet();
    return measured(() => this.#cpuSeconds(), run);
  }

  #measuredBare(bytes: number): Promise<RunCost> {
    return measured(
      () => this.bare.cpuSeconds,
      () => this.bare.send(bytes),
    );
  }

  /** None when rsync is not installed. */
  async #measuredRsync(source: string, target: string, options?: RsyncOptions): Promise<RunCost[]> {
    const { rsync } = this;
    if (!rsync) return [];
    await mkdir(target, { recursive: true });
    quiet();
    const cost = await measured(
      () => rsync.cpuSeconds,
      () => rsync.copy(source, target, options),
    );
    return [cost];
  }

  /** One percent of many small files changes: snapshot, push and commit, beside rsync. */
  async measureUpdate(): Promise<void> {
    const admin = await this.network.admin();
    const source = join(this.directory, 'update');
    const target = join(this.directory, 'rsync-update');
    await makeSmallFiles(source, smallFiles);
    const packageId = await publishPackage(admin, source);
    await distribute(admin, packageId, dpId);
    await this.rsync?.copy(source, target);
    const ours: RunCost[] = [];
    const rsync: RunCost[] = [];
    for (let run = 0; run < runCount; run++) {
      await changeOnePercent(source, { ...smallFiles, seed: 100 + run });
      const update = async () => {
        await admin.unary('updatePackage', { packageId }, { deadlineMs });
        await installed(admin, { packageId, dpId, sourceVersion: run + 2 });
      };
      ours.push(await this.#measured(update));
      rsync.push(...(await this.#measuredRsync(source, target)));
    }
    printSeries('Update: 1 % of 10,000 files of 16 KiB changed', smallBytes, [
      { name: 'waybill update', runs: ours },
      { name: 'rsync over ssh', runs: rsync },
    ]);
  }

  /** Accept of the distribute command → 1 KiB verified on the DP, and the same from create on. */
  async measureLatency(): Promise<void> {
    await this.#warmUp();
    for (let index = 0; index < 30; index++) await this.#distributeTiny(`warm-up-${index}`);
    const stolenBefore = stolenCpuSeconds();
    const startedMs = performance.now();
    const times: TinyTimes[] = [];
    for (let index = 0; index < 200; index++) times.push(await this.#distributeTiny(`${index}`));
    const seconds = (performance.now() - startedMs) / 1000;
    const stolen = (stolenCpuSeconds() - stolenBefore) / seconds / cpus().length;
    const show = (values: readonly number[]) =>
      `p50 ${percentile(values, 0.5).toFixed(1)} ms, p99 ${percentile(values, 0.99).toFixed(1)} ms`;
    console.log('\nControl latency, 200 packages of 1 KiB, one after another');
    console.log(
      `distribute accepted → verified on the DP: ${show(times.map((one) => one.accepted))}`,
    );
    console.log(
      `create → snapshot → distribute → verified: ${show(times.map((one) => one.whole))}`,
    );
    console.log(
      `CPU time other machines took from this one meanwhile: ${(stolen * 100).toFixed(1)} %`,
    );
  }

  async #distributeTiny(name: string): Promise<TinyTimes> {
    const admin = await this.network.admin();
    const source = join(this.directory, 'tiny', name);
    await mkdir(source, { recursive: true });
    await writeFile(join(source, 'payload.bin'), name.padEnd(1024));
    const createdMs = performance.now();
    const packageId = await publishPackage(admin, source);
    await admin.unary('distributePackage', { packageId, dpIds: [dpId] }, { deadlineMs });
    const acceptedMs = performance.now();
    await installed(admin, { packageId, dpId, sourceVersion: 1 });
    const endedMs = performance.now();
    return { accepted: endedMs - acceptedMs, whole: endedMs - createdMs };
  }
}

/** Milliseconds from the accepted command, and from before the package was made, to the end. */
interface TinyTimes {
  readonly accepted: number;
  readonly whole: number;
}

/** Nobody pays for what the one before has not written yet. */
function quiet(): void {
  execFileSync('sync');
}

const wants = (name: string) => options.only === undefined || options.only === name;
const bench = await Bench.start();
try {
  const size = Number(options.size);
  if (wants('push')) {
    const title = `Push: one file of ${(size / 1024 ** 3).toFixed(2)} GiB, incompressible`;
    await bench.measurePush(title, size, (source, run) => makeBigFile(source, size, run));
  }
  if (wants('small')) {
    await bench.measurePush('Push: 10,000 files of 16 KiB', smallBytes, (source, run) =>
      makeSmallFiles(source, { ...smallFiles, seed: 10 + run }),
    );
  }
  if (wants('update')) await bench.measureUpdate();
  if (wants('latency')) await bench.measureLatency();
} finally {
  await bench.stop();
}
