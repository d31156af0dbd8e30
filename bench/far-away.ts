import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DelayingProxy } from '../integration/delaying-proxy.ts';
import { Network } from '../integration/network.ts';
import { bigFileName, makeBigFile } from './data-sets.ts';
import { cpuSecondsOf, measured, type RunCost } from './measure.ts';
import { printSeries } from './report.ts';
import { distribute, publishPackage } from './waybill-run.ts';
import { isInstalled, WebServer } from './web-server.ts';

const execute = promisify(execFile);
const noCpuTime = () => 0;

const roundTripMs = 100;
const source = 'PS1DP1';
const pull = 'PS1DP2';

/** A pull over a long way, beside curl over HTTP/2 over the same. */
export async function measureFarAway(bytes: number, runCount: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'waybill-bench-'));
  const network = await Network.start({
    directory: join(directory, 'network'),
    distributionPoints: [source, pull],
    pull: { [pull]: { sources: { [source]: 1 } } },
  });
  const root = join(directory, 'web');
  await makeBigFile(root, bytes, 50);
  const web = await WebServer.start(join(directory, 'nginx'), root);
  const proxy = await DelayingProxy.start(network.dp(source).address, roundTripMs / 2);
  const webProxy = web && (await DelayingProxy.start(`127.0.0.1:${web.port}`, roundTripMs / 2));
  try {
    const admin = await network.admin();
    const ours: RunCost[] = [];
    const curl: RunCost[] = [];
    const cpuSeconds = () => network.dps.reduce((sum, { pid }) => sum + cpuSecondsOf(pid ?? 0), 0);
    for (let run = 0; run < runCount; run++) {
      const tree = join(directory, `source ${run}`);
      await makeBigFile(tree, bytes, run);
      const packageId = await publishPackage(admin, tree);
      await setAddress(network, network.dp(source).address);
      await distribute(admin, packageId, source);
      await setAddress(network, proxy.address);
      ours.push(await measured(cpuSeconds, () => distribute(admin, packageId, pull)));
      if (!webProxy || !isInstalled('curl')) continue;
      const out = join(directory, 'curl.out');
      const url = `https://${webProxy.address}/${bigFileName}`;
      const words = ['-sk', '--http2', '-o', out, url];
      // Not in the way of the proxy, which is in this process.
      curl.push(await measured(noCpuTime, () => execute('curl', words)));
    }
    printSeries(
      `Pull over a round trip of ${roundTripMs} ms: ${(bytes / 1024 ** 2).toFixed(0)} MiB`,
      bytes,
      [
        { name: 'waybill pull', runs: ours },
        { name: 'curl over HTTP/2', runs: curl },
      ],
    );
  } finally {
    await proxy[Symbol.asyncDispose]();
    await webProxy?.[Symbol.asyncDispose]();
    web?.stop();
    await network.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function setAddress(network: Network, address: string): Promise<void> {
  const admin = await network.admin();
  await admin.unary('setDistributionPoint', { dpId: source, address }, { deadlineMs: 10_000 });
}
