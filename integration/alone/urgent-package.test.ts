import assert from 'node:assert/strict';
import { extractPackage } from '../programs.ts';
import { byScale, isLong } from '../test-scale.ts';
import { treeFingerprint } from '../tree-difference.ts';
import { dpId, LimitedPush, mebibyte, megabyte, overheadBytes, timeoutMs } from './limited-push.ts';

/** What a package has beside its content on the wire, and what a stream may send twice. */
const againBytes = 8 * mebibyte + overheadBytes;

const big = byScale({
  short: { bytes: 256 * mebibyte, bytesPerSecond: 10 * megabyte, beginBytes: 8 * mebibyte },
  long: { bytes: 8 * 1024 * mebibyte, bytesPerSecond: 50 * megabyte, beginBytes: 512 * mebibyte },
});
const urgentBytes = 10 * mebibyte;

describe('an urgent package (PTM-3)', function () {
  this.timeout(timeoutMs);

  for (const { packagesMax, how } of [
    { packagesMax: 1, how: 'takes the only place of a big one' },
    { packagesMax: 3, how: 'takes the way of a big one' },
  ]) {
    it(`${how}, is there soon, and the big one goes on from where it was`, async () => {
      await using ground = await LimitedPush.start({ packagesMax });
      const { administrator, network, proxy } = ground;
      const { source, packageId } = await ground.bigFile(big.bytes);
      const urgent = await ground.bigFile(urgentBytes, 'PRIORITY_HIGH');
      await administrator.setLimit(dpId, big.bytesPerSecond);
      await administrator.distribute(packageId, dpId);
      await proxy.whenForwarded(big.beginBytes);
      const [beforeMs, beforeBytes] = [performance.now(), proxy.forwardedBytes];
      await administrator.install(urgent.packageId, dpId);
      const tookMs = performance.now() - beforeMs;
      const meanwhileBytes = proxy.forwardedBytes - beforeBytes;
      const ownMs = (1000 * urgentBytes) / big.bytesPerSecond;
      const foreign = (meanwhileBytes - urgentBytes) / mebibyte;
      process.stdout.write(
        `      there after ${tookMs.toFixed(0)} ms, of which ${ownMs.toFixed(0)} are its own; ` +
          `${foreign.toFixed(1)} MiB of other things went meanwhile\n`,
      );
      const [open] = await administrator.openJobs({ packageId });
      assert.ok(open, 'the big one is not done');
      // What the big one got meanwhile: a second to wake up, and one until it gave way.
      if (isLong) {
        assert.ok(meanwhileBytes <= urgentBytes + 2 * big.bytesPerSecond + overheadBytes);
      }
      assert.ok(tookMs <= byScale({ short: 20_000, long: 3_000 }) + ownMs, `${tookMs} ms`);
      await administrator.setLimit(dpId, undefined);
      await administrator.installed({ packageId, dpId });
      const most = big.bytes + urgentBytes + againBytes + 0.01 * big.bytes;
      assert.ok(proxy.forwardedBytes <= most, `${proxy.forwardedBytes} bytes, over ${most}`);
      const { tryCount } = await administrator.lastJob({ packageId, dpId });
      assert.equal(tryCount, 1);
      const messages = await administrator.messages({ packageId, dpId });
      assert.deepEqual(
        messages.map(({ messageId }) => messageId).filter((id) => id === 8203),
        [],
      );
      const out = await extractPackage(network, dpId, packageId);
      assert.equal(await treeFingerprint(out), await treeFingerprint(source));
    });
  }
});
