import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Administrator } from '../administrator.ts';
import { CountingProxy } from '../counting-proxy.ts';
import { Network } from '../network.ts';
import { writeNoise } from '../source-files.ts';
import { testSeed } from '../test-scale.ts';
import { WireMeter } from '../wire-meter.ts';
import { assertKept, megabyte, seconds, timeoutMs } from './limited-push.ts';

describe('pushes over a link that several DPs share (PTM-6)', function () {
  this.timeout(timeoutMs);
  const dpIds = ['PS1DP1', 'PS1DP2', 'PS1DP3'];
  const bytesPerSecond = 6 * megabyte;

  let network: Network;
  let administrator: Administrator;
  let wires: CountingProxy[];
  before(async () => {
    network = await Network.start({ distributionPoints: dpIds });
    administrator = await Administrator.of(network);
    wires = await Promise.all(
      dpIds.map(async (id) => {
        const proxy = await CountingProxy.start(network.dp(id).address);
        await administrator.setAddress(id, proxy.address);
        await administrator.setLimit(id, 20 * megabyte);
        return proxy;
      }),
    );
  });
  after(async () => {
    await network.stop();
    await Promise.all(wires.map((wire) => wire[Symbol.asyncDispose]()));
  });

  it('keep its limit together, get their parts, and obey it as soon as they join it', async () => {
    const source = join(network.directory, 'source');
    const bytes = bytesPerSecond * seconds;
    await writeNoise(join(source, 'big.bin'), { bytes, seed: testSeed });
    const packageId = await administrator.create(source);
    await administrator.setLink('london', dpIds.slice(0, 2), bytesPerSecond);
    const goneBytes = () => wires.map(({ forwardedBytes }) => forwardedBytes);
    await using meter = new WireMeter(() => goneBytes().reduce((sum, one) => sum + one, 0));
    const startMs = meter.nowMs;
    await administrator.distribute(packageId, ...dpIds.slice(0, 2));
    // One may begin a little later than the other.
    await Promise.all(wires.slice(0, 2).map((wire) => wire.whenForwarded(megabyte / 2)));
    const begun = goneBytes();
    await wires[0]?.whenForwarded((begun[0] ?? 0) + bytes / 4);
    const [first = 0, second = 0] = goneBytes().map((gone, index) => gone - (begun[index] ?? 0));
    assert.ok(Math.min(first, second) >= (first + second) / 3, `${first} and ${second}`);
    assertKept(meter, [startMs, meter.nowMs], bytesPerSecond);
    // The third takes its own way at first; then it joins, and all three share the line.
    await administrator.distribute(packageId, ...dpIds.slice(2));
    await wires[2]?.whenForwarded(bytes / 4);
    await administrator.setLink('london', dpIds, bytesPerSecond);
    const joinedMs = meter.nowMs + 1_000;
    await Promise.all(dpIds.map((id) => administrator.installed({ packageId, dpId: id })));
    assertKept(meter, [joinedMs, meter.nowMs], bytesPerSecond);
  });
});
