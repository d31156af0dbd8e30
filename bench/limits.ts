import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CountingProxy } from '../integration/counting-proxy.ts';
import { Network } from '../integration/network.ts';
import { type WireExtremes, WireMeter } from '../integration/wire-meter.ts';
import { makeBigFile } from './data-sets.ts';
import { distribute, publishPackage } from './waybill-run.ts';

const megabyte = 1_000_000;
const dpId = 'PS1DP1';
const rates = [1, 10, 50].map((megabytes) => megabytes * megabyte);
const streamCounts = [1, 50];
/** A minute, and what the ends need. */
const seconds = 66;
const [windowMs, minuteMs] = [10_000, 60_000];
/** What is promised (PTM-6). */
const [windowOffMax, minuteOffMax] = [0.05, 0.02];

/** A way that content takes, running, with nothing on it. */
interface LimitedGround {
  /** What went over its wire so far. */
  readonly wireBytes: () => number;
  limit(bytesPerSecond: number): Promise<void>;
  /** Resolves when so many new bytes have arrived. */
  send(bytes: number): Promise<void>;
  stop(): Promise<void>;
}

/** The ways that are measured, one after another. */
const ways: readonly {
  readonly name: string;
  readonly start: (streamCount: number) => Promise<LimitedGround>;
}[] = [{ name: 'push', start: startPush }];

/** How well limits are kept on the wire: the worst 10 seconds of a minute, and the minute. */
export async function measureLimits(): Promise<void> {
  for (const { name, start } of ways) {
    const rows: Record<string, Record<string, string>> = {};
    for (const streamCount of streamCounts) {
      const ground = await start(streamCount);
      try {
        for (const rate of rates) {
          const title = `${rate / megabyte} MB/s, ${streamCount} ${streamCount === 1 ? 'stream' : 'streams'}`;
          rows[title] = await measured(ground, rate);
        }
      } finally {
        await ground.stop();
      }
    }
    console.log(`\nLimits of a ${name}, on the wire`);
    console.table(rows);
  }
}

async function measured(ground: LimitedGround, rate: number): Promise<Record<string, string>> {
  await ground.limit(rate);
  const before = ground.wireBytes();
  await using meter = new WireMeter(() => ground.wireBytes() - before);
  const bytes = rate * seconds;
  await ground.send(bytes);
  // From the first part on until the last ones, which may be all that is left.
  const span = { fromMs: meter.whenGone(rate / 100), toMs: meter.whenGone(0.99 * bytes) };
  const offIn = (ms: number) => worstOff(meter.extremes(ms, span), (rate * ms) / 1000);
  const [window, minute] = [offIn(windowMs), offIn(minuteMs)];
  const isKept = Math.abs(window) <= windowOffMax && Math.abs(minute) <= minuteOffMax;
  return {
    'worst 10 s': percent(window),
    'worst minute': percent(minute),
    'most in 1 s, MB': (meter.extremes(1_000, span).most / megabyte).toFixed(2),
    'looked at late, ms': meter.gapMs(span.fromMs, span.toMs).toFixed(0),
    kept: isKept ? 'yes' : 'NO',
  };
}

/** How far the worst window is off, as a part of what is allowed: above 0 when it has more. */
function worstOff({ most, least }: WireExtremes, allowed: number): number {
  const [over, under] = [(most - allowed) / allowed, (least - allowed) / allowed];
  return Math.abs(over) >= Math.abs(under) ? over : under;
}

function percent(part: number): string {
  return `${part >= 0 ? '+' : ''}${(100 * part).toFixed(2)} %`;
}

async function startPush(streamCount: number): Promise<LimitedGround> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  const network = await Network.start({
    directory: join(directory, 'network'),
    distributionPoints: [dpId],
    site: { distribution: { lanesMax: streamCount } },
  });
  const proxy = await CountingProxy.start(network.dp(dpId).address);
  const admin = await network.admin();
  const set = (change: object) =>
    admin.unary('setDistributionPoint', { dpId, ...change }, { deadlineMs: 10_000 });
  await set({ address: proxy.address });
  let count = 0;
  return {
    wireBytes: () => proxy.forwardedBytes,
    limit: async (bytesPerSecond) => {
      await set({ controls: { limit: { bytesPerSecond } } });
    },
    send: async (bytes) => {
      count += 1;
      const source = join(directory, `source ${count}`);
      await makeBigFile(source, bytes, count);
      await distribute(admin, await publishPackage(admin, source), dpId);
    },
    stop: async () => {
      await network.stop();
      await proxy[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
