import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type AdminChannel, Network } from '../integration/network.ts';
import { peakRssBytes, resetPeakRss } from '../integration/process-figures.ts';
import { BareStream } from './bare-stream.ts';
import { makeBigFile, makeSmallFiles } from './data-sets.ts';
import { cpuSecondsOf, cpuSecondsOfChildren, measured, type RunCost } from './measure.ts';
import { type RsyncOptions, RsyncPeer } from './rsync-peer.ts';
import { distribute, publishPackage } from './waybill-run.ts';

const run = promisify(execFile);

/** The distribution point of all benchmarks. */
export const dpId = 'PS1DP1';

/** How many small files there are in a tree, and of what length. */
export const smallFiles = { count: 10_000, bytes: 16 * 1024 } as const;

/** Content bytes of such a tree. */
export const smallBytes = smallFiles.count * smallFiles.bytes;

const warmUpBytes = 512 * 1024 * 1024;

interface BenchParts {
  readonly directory: string;
  readonly restMs: number;
  readonly network: Network;
  readonly bare: BareStream;
  /** None when rsync is not installed. */
  readonly rsync: RsyncPeer | undefined;
}

/** The contenders, running: a site with a DP, the bare stream, and rsync behind an ssh server. */
export class BenchGround {
  readonly directory: string;
  readonly #parts: BenchParts;
  #isWarm = false;

  private constructor(parts: BenchParts) {
    this.directory = parts.directory;
    this.#parts = parts;
  }

  /** @param options.restMs pause before each run that writes to the disk */
  static async start({ restMs }: { restMs: number }): Promise<BenchGround> {
    const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
    const network = await Network.start({
      directory: join(directory, 'network'),
      distributionPoints: [dpId],
    });
    const site = network.certificateFiles({ kind: 'site', siteCode: 'PS1' });
    const dp = network.certificateFiles({ kind: 'dp', dpId });
    const bare = await BareStream.start(site, dp);
    const rsync = await RsyncPeer.start(join(directory, 'ssh'));
    return new BenchGround({ directory, restMs, network, bare, rsync });
  }

  async stop(): Promise<void> {
    const { bare, rsync, network, directory } = this.#parts;
    bare.stop();
    rsync?.stop();
    await network.stop();
    await rm(directory, { recursive: true, force: true });
  }

  admin(): Promise<AdminChannel> {
    return this.#parts.network.admin();
  }

  /** Agents run for months: their first seconds are not what is measured. */
  async warmUp(): Promise<void> {
    if (this.#isWarm) return;
    this.#isWarm = true;
    const admin = await this.admin();
    const big = join(this.directory, 'warm-up-big');
    const small = join(this.directory, 'warm-up-small');
    await makeBigFile(big, warmUpBytes, 99);
    await makeSmallFiles(small, { ...smallFiles, seed: 98 });
    for (const source of [big, small]) {
      await distribute(admin, await publishPackage(admin, source), dpId);
    }
    await this.#parts.bare.send(warmUpBytes);
  }

  /** Forgets the peak resident sets, so that `peakRss` counts from now. */
  resetPeakRss(): void {
    for (const pid of this.#pids) resetPeakRss(pid);
  }

  /** Largest resident sets of site and DP, in bytes. */
  get peakRss(): [site: number, dp: number] {
    const [site, dp] = this.#pids;
    return [peakRssBytes(site), peakRssBytes(dp)];
  }

  /** What Waybill takes for something. */
  async measured(work: () => Promise<void>): Promise<RunCost> {
    await this.#quiet();
    const cpuSeconds = () => this.#pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
    return measured(cpuSeconds, work);
  }

  measuredBare(bytes: number): Promise<RunCost> {
    const { bare } = this.#parts;
    return measured(
      () => bare.cpuSeconds,
      () => bare.send(bytes),
    );
  }

  /** None when rsync is not installed. */
  async measuredRsync(source: string, target: string, options?: RsyncOptions): Promise<RunCost[]> {
    const { rsync } = this.#parts;
    if (!rsync) return [];
    await mkdir(target, { recursive: true });
    await this.#quiet();
    const cost = await measured(
      () => rsync.cpuSeconds,
      () => rsync.copy(source, target, options),
    );
    return [cost];
  }

  /** What the disk takes at once: the same file, read from memory, written and synced. */
  async measuredDisk(source: string, target: string): Promise<RunCost> {
    await this.#quiet();
    const arguments_ = [`if=${source}`, `of=${target}`, 'bs=1M', 'conv=fdatasync', 'status=none'];
    return measured(
      () => cpuSecondsOfChildren(process.pid),
      async () => {
        await run('dd', arguments_);
      },
    );
  }

  /** Nobody pays for what the one before has not written yet, nor for a disk that is out of breath. */
  async #quiet(): Promise<void> {
    await run('sync');
    await sleep(this.#parts.restMs);
  }

  get #pids(): readonly [site: number, dp: number] {
    const { network } = this.#parts;
    return [network.site.pid ?? 0, network.dp(dpId).pid ?? 0];
  }
}
