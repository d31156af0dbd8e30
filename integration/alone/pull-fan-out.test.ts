import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Administrator } from '../administrator.ts';
import { Network } from '../network.ts';
import { NetworkHosts } from '../network-hosts.ts';
import { writeNoise } from '../source-files.ts';
import { byScale } from '../test-scale.ts';

const mebibyte = 1024 * 1024;
const first = 'PS1DP1';

const { pullCount, sizeBytes, linkBytesPerSecond, timeoutMs } = byScale({
  short: {
    pullCount: 4,
    sizeBytes: 48 * mebibyte,
    linkBytesPerSecond: 10_000_000,
    timeoutMs: 120_000,
  },
  long: {
    pullCount: 16,
    sizeBytes: 512 * mebibyte,
    linkBytesPerSecond: 10_000_000,
    timeoutMs: 900_000,
  },
});

/** The last DP is to be done within so many times what the link takes for the package. */
const idealShareMax = 1.5;
/** Copies of the package the first source sends at most, whatever the number of DPs. */
const copiesMax = 2;
/** What stands before and after the bytes: notification, commit, state message. */
const fixedMs = 3_000;

/** Pull DPs on hosts of their own, every link as thin as the others. */
describe(`${pullCount} pull DPs behind thin links (PULL-11)`, function () {
  this.timeout(timeoutMs);
  const pulls = Array.from({ length: pullCount }, (_, index) => `PS1DP${index + 2}`);
  let hosts: NetworkHosts;
  let network: Network;
  let administrator: Administrator;

  before(async function () {
    hosts = await NetworkHosts.forTest(this);
    const hostOf = await hosts.addAll(['PS1', first, ...pulls]);
    network = await Network.start({ distributionPoints: [first, ...pulls], hosts: hostOf });
    administrator = await Administrator.of(network);
  });

  after(async () => {
    await network?.stop();
    await hosts?.[Symbol.asyncDispose]();
  });

  /** Brings a new package to the first source, then to all others. @returns what that took */
  async function fanOut(seed: number): Promise<{ ms: number; copies: number }> {
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes: sizeBytes, seed });
    const packageId = await administrator.create(source);
    await administrator.install(packageId, first);
    for (const name of [first, ...pulls]) await hosts.setRate(name, linkBytesPerSecond);
    const sentBefore = await hosts.sentBytes(first);
    const startedMs = performance.now();
    await administrator.distribute(packageId, ...pulls);
    await Promise.all(pulls.map((dpId) => administrator.installed({ packageId, dpId })));
    const ms = performance.now() - startedMs;
    const copies = ((await hosts.sentBytes(first)) - sentBefore) / sizeBytes;
    for (const name of [first, ...pulls]) await hosts.setRate(name, 1_000_000_000);
    return { ms, copies };
  }

  function check(name: string, { ms, copies }: { ms: number; copies: number }): void {
    const idealMs = (sizeBytes / linkBytesPerSecond) * 1000;
    process.stdout.write(
      `      ${name}: last one after ${(ms / 1000).toFixed(1)} s, ${(ms / idealMs).toFixed(2)} of the ideal; the first source sent ${copies.toFixed(2)} copies\n`,
    );
    assert.ok(ms <= idealShareMax * idealMs + fixedMs, `${ms} ms, ideal ${idealMs} ms`);
    assert.ok(copies <= copiesMax, `${copies} copies`);
  }

  it('fill together at the pace of a link, each giving what it has to the others', async () => {
    for (const dpId of pulls) {
      const others = pulls.filter((other) => other !== dpId).map((other) => [other, 1]);
      await network.setPull(dpId, { sources: { ...Object.fromEntries(others), [first]: 2 } });
    }
    check('all from all', await fanOut(1));
  });

  it('fill in a chain at the pace of its slowest link', async () => {
    for (const [index, dpId] of pulls.entries()) {
      await network.setPull(dpId, { sources: { [pulls[index - 1] ?? first]: 1 } });
    }
    check('a chain', await fanOut(2));
  });
});
