import assert from 'node:assert/strict';
import { join } from 'node:path';
import { hoursOfWeek, type WindowLevel } from '../../shared/domain/transfer-controls.ts';
import { Administrator } from '../administrator.ts';
import { CountingProxy } from '../counting-proxy.ts';
import { Network } from '../network.ts';
import { writeNoise } from '../source-files.ts';
import { byScale, isLong, testSeed } from '../test-scale.ts';
import { WireMeter } from '../wire-meter.ts';

export const mebibyte = 1024 * 1024;
export const megabyte = 1_000_000;
/** The one DP. */
export const dpId = 'PS1DP1';

/** What TLS, gRPC, manifests and questions add to content, at most. */
export const overheadBytes = 256 * 1024;
/** What the site may catch up when it was held up itself. */
export const catchUpMs = 300;

/** How long a push takes at its limit; how long a test may take; in which windows bytes are counted. */
export const { seconds, timeoutMs, windowMs } = byScale({
  short: { seconds: 4, timeoutMs: 120_000, windowMs: 2_000 },
  long: { seconds: 65, timeoutMs: 1_800_000, windowMs: 10_000 },
});

/** A grid that is the same at every hour. */
export const always = (level: WindowLevel) => ({
  timeZone: 'UTC',
  hours: Array.from({ length: hoursOfWeek }, () => level),
});

/** A site with one DP, between them a proxy that counts, and one package after another. */
export class LimitedPush implements AsyncDisposable {
  readonly network: Network;
  readonly administrator: Administrator;
  readonly proxy: CountingProxy;
  #count = 0;

  private constructor(network: Network, administrator: Administrator, proxy: CountingProxy) {
    this.network = network;
    this.administrator = administrator;
    this.proxy = proxy;
  }

  static async start(distribution: Record<string, unknown> = {}): Promise<LimitedPush> {
    const network = await Network.start({ distributionPoints: [dpId], site: { distribution } });
    const administrator = await Administrator.of(network);
    const proxy = await CountingProxy.start(network.dp(dpId).address);
    await administrator.setAddress(dpId, proxy.address);
    return new LimitedPush(network, administrator, proxy);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.network.stop();
    await this.proxy[Symbol.asyncDispose]();
  }

  /** One file of noise. @returns the package's ID */
  async bigFile(bytes: number, priority: 'PRIORITY_HIGH' | 'PRIORITY_LOW' = 'PRIORITY_LOW') {
    this.#count += 1;
    const source = join(this.network.directory, `source ${this.#count}`);
    await writeNoise(join(source, 'big.bin'), { bytes, seed: testSeed + this.#count });
    return { source, packageId: await this.administrator.create(source, { priority }) };
  }

  /** Distributes, and resolves when it is there. @returns what went over the wire meanwhile */
  async measured(packageId: string): Promise<{ meter: WireMeter; span: [number, number] }> {
    this.proxy.reset();
    await using meter = new WireMeter(() => this.proxy.forwardedBytes);
    const startMs = meter.nowMs;
    await this.administrator.install(packageId, dpId);
    return { meter, span: [startMs, meter.nowMs] };
  }
}

/**
 * Never more than the limit allows: from the beginning to any moment; on a machine that has the time, in any
 * window too, but for what this process has counted late. On a slow one what stood still goes at once.
 */
export function assertKept(
  meter: WireMeter,
  [fromMs, toMs]: readonly [number, number],
  bytesPerSecond: number,
): void {
  const beyond = meter.beyond(bytesPerSecond, { fromMs, toMs });
  const beyondMax = (bytesPerSecond * 2 * catchUpMs) / 1000 + overheadBytes;
  assert.ok(beyond <= beyondMax, `${beyond} bytes beyond the limit; allowed: ${beyondMax}`);
  if (!isLong) return;
  const { most, mostFromMs } = meter.extremes(windowMs, { fromMs, toMs });
  const lateMs = meter.gapMs(mostFromMs - 1_000, mostFromMs + windowMs);
  const allowed = (bytesPerSecond * (windowMs + catchUpMs + lateMs)) / 1000 + overheadBytes;
  assert.ok(most <= allowed, `${most} bytes in ${windowMs} ms; allowed: ${allowed}`);
}
