import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hoursOfWeek } from '../../shared/domain/transfer-controls.ts';
import type { RequestOf } from '../../shared/rpc/conversation.ts';
import { Administrator } from '../administrator.ts';
import { CountingProxy } from '../counting-proxy.ts';
import { storesOnlyWhatIsUsed } from '../library-files.ts';
import { Network } from '../network.ts';
import { writeNoise } from '../source-files.ts';
import { byScale, isLong } from '../test-scale.ts';
import { WireMeter } from '../wire-meter.ts';

const megabyte = 1_000_000;
/** Two standard DPs, one pull DP that fetches from both, and two that fetch from the first. */
const [first, second, both, left, right] = ['PS1DP1', 'PS1DP2', 'PS1DP3', 'PS1DP4', 'PS1DP5'];
const rate = 2 * megabyte;
const { sizeBytes, windowMs } = byScale({
  short: { sizeBytes: 12 * megabyte, windowMs: 2_000 },
  long: { sizeBytes: 130 * megabyte, windowMs: 10_000 },
});
/** What may come in a window besides the rate: parts on their way, what a late timer catches up. */
const slackBytes = 0.5 * rate;
/** A change has acted by then. */
const actsMs = 1_000;

type Patch = RequestOf<'Admin', 'setDistributionPoint'>;

describe('limits and schedules of DPs that fetch and serve (PULL-10, PTM-5, PTM-6)', () => {
  let network: Network;
  let administrator: Administrator;
  let packageId: string;
  let proxies: CountingProxy[];

  before(async function () {
    this.timeout(120_000);
    network = await Network.start({
      distributionPoints: [first, second, both, left, right],
      pull: {
        [both]: { sources: { [first]: 1, [second]: 1 } },
        [left]: { sources: { [first]: 1 } },
        [right]: { sources: { [first]: 1 } },
      },
      dp: { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 },
    });
    administrator = await Administrator.of(network);
    const source = join(network.directory, 'source');
    await writeNoise(join(source, 'image.wim'), { bytes: sizeBytes, seed: 1 });
    packageId = await administrator.create(source);
    await administrator.distribute(packageId, first, second);
    proxies = [];
    for (const dpId of [first, second]) {
      await administrator.installed({ packageId, dpId });
      const proxy = await CountingProxy.start(network.dp(dpId).address);
      proxies.push(proxy);
      await administrator.setAddress(dpId, proxy.address);
    }
  });

  after(async () => {
    await network.stop();
    for (const proxy of proxies ?? []) await proxy[Symbol.asyncDispose]();
  });

  afterEach(async () => {
    const free = { alwaysOpen: true, noLimit: true };
    for (const dpId of [first, second, both, left, right]) {
      await set(dpId, { controls: free, serveControls: free });
    }
    for (const dpId of [both, left, right]) {
      await administrator.remove(packageId, dpId);
      await administrator.removed({ packageId, dpId });
      // Or the next test would find the file there.
      await storesOnlyWhatIsUsed(network.dataDirectoryOf(dpId));
    }
  });

  async function set(dpId: string, patch: Omit<Patch, 'dpId'>): Promise<void> {
    const admin = await network.admin();
    await admin.unary('setDistributionPoint', { dpId, ...patch }, { deadlineMs: 10_000 });
  }
  const limit = (bytesPerSecond: number) => ({ limit: { bytesPerSecond } });
  const schedule = (level: 'WINDOW_LEVEL_CLOSED' | 'WINDOW_LEVEL_HIGH_ONLY') => ({
    schedule: { timeZone: 'Europe/Madrid', hours: Array(hoursOfWeek).fill(level) },
  });
  const fetched = () => proxies.reduce((sum, { returnedBytes }) => sum + returnedBytes, 0);

  /** Begins a transfer; resolves when it is well under way. @returns from when on it is measured */
  async function begin(meter: WireMeter, ...dpIds: string[]): Promise<number> {
    const before = fetched();
    await administrator.distribute(packageId, ...dpIds);
    await hasCome(before + 0.5 * megabyte);
    return meter.nowMs;
  }

  async function hasCome(bytes: number): Promise<void> {
    const endMs = performance.now() + 30_000;
    while (fetched() < bytes) {
      assert.ok(performance.now() < endMs, `${fetched()} bytes have come, not ${bytes}`);
      await sleep(20);
    }
  }

  /** It was never quicker than that; nor, on a machine that has the time, half as slow. */
  function isKept(meter: WireMeter, within: { fromMs: number; toMs: number }): void {
    const { most, least } = meter.extremes(windowMs, within);
    const allowed = (rate * windowMs) / 1_000;
    const sentence = `${least} to ${most} bytes in any ${windowMs} ms, ${allowed} are allowed`;
    assert.ok(most <= 1.02 * allowed + slackBytes, sentence);
    if (isLong) assert.ok(least >= 0.5 * allowed, sentence);
  }

  it('a pull DP keeps its limit over several sources, counted on the wire', async () => {
    await set(both, { controls: limit(rate) });
    await using meter = new WireMeter(fetched);
    const before = proxies.map(({ returnedBytes }) => returnedBytes);
    const fromMs = await begin(meter, both);
    await administrator.installed({ packageId, dpId: both });
    const toMs = meter.nowMs;
    isKept(meter, { fromMs, toMs: toMs - 500 });
    for (const [index, { returnedBytes }] of proxies.entries()) {
      assert.ok(returnedBytes - (before[index] ?? 0) > 0.2 * sizeBytes, 'from both of them');
    }
  });

  it('another limit acts within a second, higher or lower', async () => {
    await set(both, { controls: limit(megabyte / 2) });
    await using meter = new WireMeter(fetched);
    await begin(meter, both);
    await set(both, { controls: limit(4 * megabyte) });
    const raisedMs = meter.nowMs;
    await meter.whenQuicker(1.5 * megabyte);
    const actedMs = meter.nowMs - raisedMs;
    if (isLong) assert.ok(actedMs <= actsMs + 1_000, `higher after ${actedMs} ms`);
    await set(both, { controls: limit(megabyte / 2) });
    const loweredMs = meter.nowMs;
    await sleep(actsMs + 2_000);
    const lowered = meter.bytesBetween(loweredMs + actsMs, meter.nowMs);
    if (isLong) assert.ok(lowered <= 1.5 * megabyte, `${lowered} bytes in two seconds`);
    // At the higher one all of it would be there.
    const open = await administrator.openJobs({ packageId, dpId: both });
    assert.equal(open.length, 1);
    await set(both, { controls: { noLimit: true } });
    await administrator.installed({ packageId, dpId: both });
  });

  it('a window that closes stops a file within a second; it goes on there when it opens', async () => {
    await set(both, { controls: limit(rate) });
    await using meter = new WireMeter(fetched);
    const before = fetched();
    await begin(meter, both);
    await set(both, { controls: schedule('WINDOW_LEVEL_CLOSED') });
    const setMs = meter.nowMs;
    const job = await administrator.jobIs({ packageId, dpId: both }, ({ waitingReason }) => {
      return waitingReason === 'window-closed';
    });
    assert.match(job.reason, /^Its window never opens$/);
    // A slow machine may take longer to tell the DP, which then says so.
    const closedMs = isLong ? setMs : meter.nowMs;
    await sleep(actsMs + 2_000);
    const late = meter.bytesBetween(closedMs + actsMs, meter.nowMs);
    assert.ok(late < 64 * 1024, `${late} bytes came while it was closed`);
    await set(both, { controls: { alwaysOpen: true, noLimit: true } });
    await administrator.installed({ packageId, dpId: both });
    const bytes = fetched() - before;
    assert.ok(bytes <= 1.02 * sizeBytes + 17 * 1024 * 1024, `${bytes} of ${sizeBytes} bytes`);
    assert.deepEqual(await administrator.openJobs(), []);
  });

  it('an urgent package passes in hours that are for such ones', async () => {
    await set(both, { controls: schedule('WINDOW_LEVEL_HIGH_ONLY') });
    const source = join(network.directory, 'urgent');
    await writeNoise(join(source, 'fix.bin'), { bytes: 100_000, seed: 7 });
    const admin = await network.admin();
    const properties = { name: 'Urgent', priority: 'PRIORITY_HIGH' } as const;
    const created = { properties, sourceDirectories: [source] };
    const urgent = await admin.unary('createPackage', created, { deadlineMs: 10_000 });
    await administrator.published(urgent.packageId);
    await administrator.install(urgent.packageId, first);
    await administrator.distribute(packageId, both);
    await administrator.install(urgent.packageId, both);
    await administrator.jobIs({ packageId, dpId: both }, ({ waitingReason }) => {
      return waitingReason === 'window-closed';
    });
  });

  it('limit and window hold after kill -9 of the DP while its site is down', async () => {
    await set(both, { controls: limit(rate) });
    await using meter = new WireMeter(fetched);
    await begin(meter, both);
    await network.site.kill();
    await network.dp(both).kill();
    const before = fetched();
    await network.dp(both).start();
    await hasCome(before + 0.5 * megabyte);
    const fromMs = meter.nowMs;
    await sleep(windowMs + 500);
    isKept(meter, { fromMs, toMs: meter.nowMs });
    await network.site.start();
    await set(both, { controls: schedule('WINDOW_LEVEL_CLOSED') });
    await administrator.jobIs({ packageId, dpId: both }, ({ waitingReason }) => {
      return waitingReason === 'window-closed';
    });
    await network.site.kill();
    await network.dp(both).kill();
    await network.dp(both).start();
    const closedMs = meter.nowMs;
    // That nothing comes has no state to wait for; however long it takes, it must stay so.
    await sleep(2_000);
    assert.ok(meter.bytesBetween(closedMs, meter.nowMs) < 64 * 1024);
    await network.site.start();
    await set(both, { controls: { alwaysOpen: true, noLimit: true } });
    await administrator.installed({ packageId, dpId: both });
  });

  it('what a standard DP serves is limited, and shared by those that fetch from it', async () => {
    await set(first, { serveControls: limit(rate) });
    await using meter = new WireMeter(fetched);
    const fromMs = await begin(meter, left, right);
    await administrator.installed({ packageId, dpId: left });
    const toMs = meter.nowMs;
    await administrator.installed({ packageId, dpId: right });
    isKept(meter, { fromMs, toMs: toMs - 500 });
    const lateMs = meter.nowMs - toMs;
    assert.ok(lateMs < 0.5 * (toMs - fromMs), `the other one came ${lateMs} ms later`);
  });

  it('a DP that serves at no hour is passed over for the next source, which nobody blames', async () => {
    await set(first, { serveControls: schedule('WINDOW_LEVEL_CLOSED') });
    await administrator.install(packageId, both);
    await set(left, { controls: limit(rate) });
    await administrator.distribute(packageId, left);
    const job = await administrator.jobIs({ packageId, dpId: left }, ({ waitingReason }) => {
      return waitingReason === 'no-source';
    });
    assert.match(job.reason, /PS1DP1 serves nothing of this priority at this hour/);
    await set(first, { serveControls: { alwaysOpen: true } });
    await administrator.installed({ packageId, dpId: left });
    const messages = await administrator.messages();
    assert.deepEqual(
      messages.filter(({ messageId }) => messageId === 9003),
      [],
    );
  });

  it('a DP that has lost what it was told is told anew as soon as it is back', async () => {
    await set(both, { controls: limit(rate) });
    await network.dp(both).kill();
    await rm(network.dataDirectoryOf(both), { recursive: true });
    await network.dp(both).start();
    const audit = join(network.dataDirectoryOf(both), 'logs', 'audit.log');
    for (;;) {
      const log = await readFile(audit, 'utf8').catch(() => '');
      if (log.includes('DistributionPoint/SetControls')) break;
      await sleep(50);
    }
    await using meter = new WireMeter(fetched);
    const fromMs = await begin(meter, both);
    await sleep(windowMs + 500);
    isKept(meter, { fromMs, toMs: meter.nowMs });
    await set(both, { controls: { noLimit: true } });
    await administrator.installed({ packageId, dpId: both });
  });
});
