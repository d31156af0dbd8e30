import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { extractPackage } from '../programs.ts';
import { writeSmallFiles } from '../source-files.ts';
import { byScale, isLong, testSeed } from '../test-scale.ts';
import { treeFingerprint } from '../tree-difference.ts';
import { WireMeter } from '../wire-meter.ts';
import {
  always,
  assertKept,
  catchUpMs,
  dpId,
  LimitedPush,
  mebibyte,
  megabyte,
  overheadBytes,
  seconds,
  timeoutMs,
  windowMs,
} from './limited-push.ts';

describe('pushes with a limit, on the wire (PTM-6)', function () {
  this.timeout(timeoutMs);

  for (const lanesMax of [1, 50]) {
    describe(`with ${lanesMax} streams`, () => {
      let ground: LimitedPush;
      before(async () => {
        ground = await LimitedPush.start({ lanesMax });
      });
      after(() => ground[Symbol.asyncDispose]());

      for (const megabytes of byScale({ short: [10], long: [1, 10, 50] })) {
        it(`never send more than ${megabytes} MB/s, and not much less`, async () => {
          const bytesPerSecond = megabytes * megabyte;
          const bytes = bytesPerSecond * seconds;
          const { packageId } = await ground.bigFile(bytes);
          await ground.administrator.setLimit(dpId, bytesPerSecond);
          const { meter, span } = await ground.measured(packageId);
          assertKept(meter, span, bytesPerSecond);
          const tookMs = span[1] - span[0];
          assert.ok(tookMs >= (seconds * 1000 - catchUpMs) * 0.98, `only ${tookMs} ms`);
          // How fast a busy machine can be at all, is for the benchmarks to say.
          if (isLong && megabytes <= 10) {
            assert.ok(tookMs <= 2 * seconds * 1000 + 2_000, `${tookMs} ms`);
          }
        });
      }

      it('keep the limit with many small files too', async () => {
        const bytesPerSecond = megabyte;
        const source = join(ground.network.directory, 'small');
        await writeSmallFiles(source, { count: 200 * seconds, bytes: 5_000, seed: testSeed });
        const packageId = await ground.administrator.create(source);
        await ground.administrator.setLimit(dpId, bytesPerSecond);
        const { meter, span } = await ground.measured(packageId);
        assertKept(meter, span, bytesPerSecond);
        const out = await extractPackage(ground.network, dpId, packageId);
        assert.equal(await treeFingerprint(out), await treeFingerprint(source));
      });
    });
  }
});

describe('a push whose controls change (PTM-5, PTM-6)', function () {
  this.timeout(timeoutMs);
  let ground: LimitedPush;
  before(async () => {
    ground = await LimitedPush.start();
  });
  after(() => ground[Symbol.asyncDispose]());

  it('obeys another limit within a second, and says what holds it back', async () => {
    const { administrator, proxy } = ground;
    const { source, packageId } = await ground.bigFile(48 * mebibyte);
    await administrator.setLimit(dpId, 2 * megabyte);
    proxy.reset();
    await using meter = new WireMeter(() => proxy.forwardedBytes);
    await administrator.distribute(packageId, dpId);
    await proxy.whenForwarded(4 * megabyte);
    const filter = { packageId, dpId };
    const { reason } = await administrator.jobIs(filter, (job) => job.waitingReason === 'rate');
    assert.match(reason, /limit of PS1DP1/);
    /** Sets a limit, lets a second pass, and looks at the next ones. */
    const limited = async (bytesPerSecond: number) => {
      await administrator.setLimit(dpId, bytesPerSecond);
      const fromMs = meter.nowMs + 1_000;
      // A rate is bytes in a time: the time is what is looked at, not what is waited for.
      await sleep(1_000 + windowMs);
      return [fromMs, meter.nowMs] as const;
    };
    const slow = await limited(megabyte);
    assertKept(meter, slow, megabyte);
    await administrator.setLimit(dpId, 8 * megabyte);
    await meter.whenQuicker(3 * megabyte);
    const quick = await limited(8 * megabyte);
    assertKept(meter, quick, 8 * megabyte);
    const slower = await limited(megabyte / 10);
    assertKept(meter, slower, megabyte / 10);
    const [fromMs, toMs] = quick;
    const quickBytes = meter.bytesBetween(fromMs, toMs);
    if (isLong) assert.ok(quickBytes >= (4 * megabyte * (toMs - fromMs)) / 1000);
    await administrator.setLimit(dpId, undefined);
    await administrator.installed(filter);
    const out = await extractPackage(ground.network, dpId, packageId);
    assert.equal(await treeFingerprint(out), await treeFingerprint(source));
  });

  it('stops within a second when its window closes, and goes on there when it opens', async () => {
    const { administrator, proxy } = ground;
    const bytes = 24 * mebibyte;
    const { source, packageId } = await ground.bigFile(bytes);
    await administrator.setLimit(dpId, 4 * megabyte);
    proxy.reset();
    await using meter = new WireMeter(() => proxy.forwardedBytes);
    await administrator.distribute(packageId, dpId);
    await proxy.whenForwarded(6 * megabyte);
    await administrator.setSchedule(dpId, always('medium-and-high'));
    const closedMs = meter.nowMs;
    const filter = { packageId, dpId };
    const job = await administrator.jobIs(filter, (one) => one.waitingReason === 'window-closed');
    // A slow machine may take a while to let go what is on its way.
    const stopsAtMs = (isLong ? closedMs : meter.nowMs) + 1_000;
    assert.match(job.reason, /never opens/);
    assert.equal(job.state, 'JOB_STATE_PENDING_RESTART');
    // That nothing goes has no state to wait for; however long it takes, it must stay so.
    await sleep(3_000);
    // What stands on the wire then are signs of life.
    assert.ok(meter.bytesBetween(stopsAtMs, meter.nowMs) < 16_384, 'nothing goes');
    await administrator.setSchedule(dpId, undefined);
    await administrator.setLimit(dpId, undefined);
    await administrator.installed(filter);
    // A low limit has one message on its way in parts, however many streams there are.
    const most = bytes + mebibyte + overheadBytes;
    assert.ok(proxy.forwardedBytes <= most, `${proxy.forwardedBytes} bytes, over ${most}`);
    const { tryCount } = await administrator.lastJob(filter);
    assert.equal(tryCount, 1);
    const out = await extractPackage(ground.network, dpId, packageId);
    assert.equal(await treeFingerprint(out), await treeFingerprint(source));
  });

  for (const name of ['PS1', dpId]) {
    it(`keeps its limit from the first byte on when ${name} is killed in the middle`, async () => {
      const { administrator, network, proxy } = ground;
      const bytesPerSecond = 3 * megabyte;
      const bytes = 4 * bytesPerSecond;
      const { source, packageId } = await ground.bigFile(bytes);
      await administrator.setLimit(dpId, bytesPerSecond);
      proxy.reset();
      await using meter = new WireMeter(() => proxy.forwardedBytes);
      const startMs = meter.nowMs;
      await administrator.distribute(packageId, dpId);
      await proxy.whenForwarded(bytes / 2);
      const victim = name === dpId ? network.dp(dpId) : network.site;
      await victim.kill();
      await victim.start();
      await administrator.installed({ packageId, dpId });
      // A site that begins anew may catch up anew.
      assertKept(meter, [startMs, meter.nowMs], 1.1 * bytesPerSecond);
      const most = bytes + mebibyte + 2 * overheadBytes;
      assert.ok(proxy.forwardedBytes <= most, `${proxy.forwardedBytes} bytes, over ${most}`);
      const out = await extractPackage(network, dpId, packageId);
      assert.equal(await treeFingerprint(out), await treeFingerprint(source));
    });
  }

  it('waits with its job for the window, and begins at once when that is opened', async () => {
    const { administrator, proxy } = ground;
    const { packageId } = await ground.bigFile(mebibyte);
    const filter = { packageId, dpId };
    await administrator.setSchedule(dpId, always('high-only'));
    proxy.reset();
    await administrator.distribute(packageId, dpId);
    await administrator.jobIs(filter, (one) => one.waitingReason === 'window-closed');
    assert.ok(proxy.forwardedBytes < mebibyte);
    await administrator.setSchedule(dpId, undefined);
    await administrator.installed(filter);
  });
});

describe('a job that an administrator lets run (ADM-2)', function () {
  this.timeout(timeoutMs);

  it('begins in a closed hour, keeps its limit, and is heedful again the next time', async () => {
    await using ground = await LimitedPush.start();
    const { administrator } = ground;
    const { packageId } = await ground.bigFile(4 * megabyte);
    const filter = { packageId, dpId };
    await administrator.setSchedule(dpId, always('closed'));
    await administrator.setLimit(dpId, 2 * megabyte);
    await administrator.distribute(packageId, dpId);
    await administrator.jobIs(filter, (one) => one.waitingReason === 'window-closed');
    await using meter = new WireMeter(() => ground.proxy.forwardedBytes);
    const startMs = meter.nowMs;
    await administrator.steer('runJobs', filter);
    await administrator.installed(filter);
    assertKept(meter, [startMs, meter.nowMs], 2 * megabyte);
    await administrator.redistribute(packageId, dpId);
    await administrator.jobIs(filter, (one) => one.waitingReason === 'window-closed');
  });
});
