import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CountingProxy } from '../integration/counting-proxy.ts';
import { HierarchyNetwork } from '../integration/hierarchy-network.ts';
import { type AdminChannel, Network } from '../integration/network.ts';
import { isErrorWithCode } from '../shared/domain/errors.ts';
import { makeBigFile } from './data-sets.ts';
import { distribute, publishPackage } from './waybill-run.ts';

const run = promisify(execFile);
const dpId = 'PS1DP1';
const deadlineMs = 30_000;

/** A way that content takes, running, with nothing on it, and a meter at its wire. */
export interface LimitedGround {
  /** What went over its wire so far. */
  readonly wireBytes: () => number;
  limit(bytesPerSecond: number): Promise<void>;
  /** Resolves when so many new bytes have arrived. */
  send(bytes: number): Promise<void>;
  stop(): Promise<void>;
}

/** The ways that have limits. A stream brings one piece at a time, or one package file. */
export const limitedWays: readonly {
  readonly name: string;
  readonly start: (streamCount: number) => Promise<LimitedGround>;
}[] = [
  { name: 'push', start: startPush },
  { name: 'send to another site', start: startSend },
  { name: 'pull', start: startPull },
];

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
      const packageId = await publishPackage(admin, source);
      await atRest();
      await distribute(admin, packageId, dpId);
    },
    stop: async () => {
      await network.stop();
      await proxy[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A stream brings one package file: so there are as many packages as streams. */
async function startSend(streamCount: number): Promise<LimitedGround> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  const network = await HierarchyNetwork.start({
    directory: join(directory, 'network'),
    sites: [
      { siteCode: 'CS1', kind: 'central-administration' },
      { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: [dpId] },
    ],
    links: ['PS1'],
    site: { sending: { sendsMax: streamCount, sendsPerSiteMax: streamCount } },
  });
  const [central, primary] = [await network.admin('CS1'), await network.admin('PS1')];
  // Only the way between the sites is measured: the DP stands still.
  await network.dp(dpId).kill();
  let count = 0;
  const publish = async (bytes: number) => {
    count += 1;
    const source = join(directory, `source ${count}`);
    await makeBigFile(source, bytes, count);
    return publishPackage(central, source);
  };
  return {
    wireBytes: () => network.link('PS1').to.forwardedBytes,
    limit: async (bytesPerSecond) => {
      const route = { fromSiteCode: 'CS1', toSiteCode: 'PS1' };
      const controls = { limit: { bytesPerSecond } };
      await central.unary('setRoute', { ...route, controls }, { deadlineMs });
    },
    send: async (bytes) => {
      const packageIds: string[] = [];
      for (let stream = 0; stream < streamCount; stream++) {
        packageIds.push(await publish(Math.ceil(bytes / streamCount)));
      }
      await atRest();
      await Promise.all(
        packageIds.map(async (packageId) => {
          await central.unary('distributePackage', { packageId, dpIds: [dpId] }, { deadlineMs });
          await whenStored(primary, packageId);
        }),
      );
    },
    stop: async () => {
      await network.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A pull DP that fetches so many packages at once from one source: each has a few streams. */
async function startPull(packageCount: number): Promise<LimitedGround> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  const [source, pull] = ['PS1DP1', 'PS1DP2'] as const;
  const network = await Network.start({
    directory: join(directory, 'network'),
    distributionPoints: [source, pull],
    pull: { [pull]: { sources: { [source]: 1 }, packagesMax: packageCount } },
  });
  const proxy = await CountingProxy.start(network.dp(source).address);
  const admin = await network.admin();
  const set = (dpId: string, change: object) =>
    admin.unary('setDistributionPoint', { dpId, ...change }, { deadlineMs: 10_000 });
  let count = 0;
  const published = async (bytes: number): Promise<string> => {
    count += 1;
    const tree = join(directory, `source ${count}`);
    await makeBigFile(tree, bytes, count);
    const packageId = await publishPackage(admin, tree);
    await distribute(admin, packageId, source);
    return packageId;
  };
  return {
    wireBytes: () => proxy.returnedBytes,
    limit: async (bytesPerSecond) => {
      await set(pull, { controls: { limit: { bytesPerSecond } } });
    },
    send: async (bytes) => {
      // The source gets them past the proxy.
      await set(source, { address: network.dp(source).address });
      const packageIds: string[] = [];
      for (let index = 0; index < packageCount; index++) {
        packageIds.push(await published(Math.ceil(bytes / packageCount)));
      }
      await set(source, { address: proxy.address });
      await atRest();
      await Promise.all(packageIds.map((packageId) => distribute(admin, packageId, pull)));
    },
    stop: async () => {
      await network.stop();
      await proxy[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Resolves when the site, which may not have heard of the package yet, has it in its library. */
async function whenStored(admin: AdminChannel, packageId: string): Promise<void> {
  for (;;) {
    try {
      for await (const one of admin.serverStream('watchPackage', { packageId }, {})) {
        if (one.storedVersion > 0) return;
      }
    } catch (error) {
      if (!isErrorWithCode(error, 'PACKAGE_UNKNOWN')) throw error;
    }
    await sleep(50);
  }
}

/** All of what was made here is on the disk: else the receiver would wait with its writes for those of the sender. */
async function atRest(): Promise<void> {
  await run('sync');
}
