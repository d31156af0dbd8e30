import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Network } from '../integration/network.ts';
import { type NetworkHost, NetworkHosts } from '../integration/network-hosts.ts';
import { makeBigFile } from './data-sets.ts';
import { cpuSecondsOf } from './measure.ts';
import { distribute, installed, publishPackage } from './waybill-run.ts';

const first = 'PS1DP1';
const linkBytesPerSecond = 10_000_000;
const freeBytesPerSecond = 1_000_000_000;
const counts = [4, 8, 16];
const deadlineMs = 30_000;

interface FanOut {
  readonly seconds: number;
  readonly copies: number;
  /** Of all agents. */
  readonly cpuSeconds: number;
}

/**
 * N pull DPs on hosts of their own, every link capped: all of them sources of each other, behind the
 * first one; and in a chain.
 */
export async function measureFanOut(bytes: number): Promise<void> {
  const idealSeconds = bytes / linkBytesPerSecond;
  console.log(
    `\nFan-out: ${(bytes / 1024 ** 2).toFixed(0)} MiB to N pull DPs, every link at ${linkBytesPerSecond / 1e6} MB/s each way; ideal ${idealSeconds.toFixed(1)} s`,
  );
  const rows: Record<string, Record<string, string>> = {};
  for (const count of counts) {
    for (const shape of ['all from all', 'chain'] as const) {
      const result = await fanOut(count, shape, bytes);
      if (!result) return;
      rows[`${count} pull DPs, ${shape}`] = {
        'last done, s': result.seconds.toFixed(1),
        'of the ideal': (result.seconds / idealSeconds).toFixed(2),
        'copies sent by the first source': result.copies.toFixed(2),
        'CPU s of all': result.cpuSeconds.toFixed(1),
      };
    }
  }
  console.table(rows);
}

async function fanOut(
  count: number,
  shape: 'all from all' | 'chain',
  bytes: number,
): Promise<FanOut | undefined> {
  const made = await NetworkHosts.create();
  if (typeof made === 'string') {
    console.log(`left out: ${made}`);
    return undefined;
  }
  await using hosts = made;
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  const pulls = Array.from({ length: count }, (_, index) => `PS1DP${index + 2}`);
  const names = ['PS1', first, ...pulls];
  const hostOf = new Map<string, NetworkHost>();
  for (const name of names) hostOf.set(name, await hosts.add(name));
  const network = await Network.start({
    directory: join(directory, 'network'),
    distributionPoints: [first, ...pulls],
    hosts: hostOf,
  });
  try {
    for (const [index, dpId] of pulls.entries()) {
      const others = pulls.filter((other) => other !== dpId).map((other) => [other, 1]);
      const all = { ...Object.fromEntries(others), [first]: 2 };
      const before = { [pulls[index - 1] ?? first]: 1 };
      await network.setPull(dpId, { sources: shape === 'chain' ? before : all });
    }
    return await timed(network, hosts, { directory, pulls, bytes });
  } finally {
    await network.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function timed(
  network: Network,
  hosts: NetworkHosts,
  { directory, pulls, bytes }: { directory: string; pulls: readonly string[]; bytes: number },
): Promise<FanOut> {
  const admin = await network.admin();
  const source = join(directory, 'source');
  await makeBigFile(source, bytes, 7);
  const packageId = await publishPackage(admin, source);
  await distribute(admin, packageId, first);
  for (const name of [first, ...pulls]) await hosts.setRate(name, linkBytesPerSecond);
  const cpuSeconds = () =>
    [network.site, ...network.dps].reduce((sum, { pid }) => sum + cpuSecondsOf(pid ?? 0), 0);
  const cpuBefore = cpuSeconds();
  const sentBefore = await hosts.sentBytes(first);
  const startedMs = performance.now();
  await admin.unary('distributePackage', { packageId, dpIds: [...pulls] }, { deadlineMs });
  await Promise.all(pulls.map((dpId) => installed(admin, { packageId, dpId, sourceVersion: 1 })));
  const seconds = (performance.now() - startedMs) / 1000;
  const copies = ((await hosts.sentBytes(first)) - sentBefore) / bytes;
  for (const name of [first, ...pulls]) await hosts.setRate(name, freeBytesPerSecond);
  return { seconds, copies, cpuSeconds: cpuSeconds() - cpuBefore };
}
