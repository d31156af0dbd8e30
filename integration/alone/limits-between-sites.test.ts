import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Administrator, PackageFacts } from '../administrator.ts';
import type { CountingProxy } from '../counting-proxy.ts';
import { HierarchyNetwork, type SiteOfTest } from '../hierarchy-network.ts';
import { extractPackage, runWaybill } from '../programs.ts';
import { writeNoise } from '../source-files.ts';
import { byScale, isLong, testSeed } from '../test-scale.ts';
import { treeDifference } from '../tree-difference.ts';
import { WireMeter } from '../wire-meter.ts';

const mebibyte = 1024 * 1024;

const { limitedBytes, bytesPerSecond, windowMs, bigBytes, timeoutMs } = byScale({
  short: {
    ...{ limitedBytes: 12 * mebibyte, bytesPerSecond: 2_000_000, windowMs: 3_000 },
    ...{ bigBytes: 24 * mebibyte, timeoutMs: 180_000 },
  },
  long: {
    ...{ limitedBytes: 1024 * mebibyte, bytesPerSecond: 10_000_000, windowMs: 10_000 },
    ...{ bigBytes: 256 * mebibyte, timeoutMs: 1_800_000 },
  },
});

/** What a window may have more than its share: framing, and what a late timer catches up. */
const windowShareMax = 1.05;
/** What may have gone beyond a limit at any moment: its share of so many milliseconds, and talk. */
const beyondMs = 500;
/** Status, handshakes and framing beside the package files, for each test. */
const talkBytesMax = mebibyte;

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
];
const dpId = 'PS1DP1';

/** From the beginning to any moment no more has gone than the limit allows, however slow the machine is. */
function assertKept(meter: WireMeter, rate: number, fromMs: number): void {
  const beyond = meter.beyond(rate, { fromMs, toMs: meter.nowMs });
  const beyondMax = (rate * beyondMs) / 1000 + talkBytesMax / 2;
  assert.ok(beyond <= beyondMax, `${beyond} bytes beyond the limit; allowed: ${beyondMax}`);
}

describe('limits and schedules between sites', function () {
  this.timeout(timeoutMs);
  let network: HierarchyNetwork;
  let central: Administrator;
  let link: CountingProxy;
  let sourceCount = 0;

  before(async () => {
    // One place: so that a second send has to get that of the first.
    const sending = { sendsMax: 1, sendsPerSiteMax: 1 };
    network = await HierarchyNetwork.start({ sites, links: ['PS1'], site: { sending } });
    central = await network.administrator('CS1');
    link = network.link('PS1').to;
  });

  beforeEach(() => link.reset());
  after(() => network?.stop());

  /** What an administrator types at the central site. */
  async function waybill(...words: string[]): Promise<string> {
    const cliOptions = network.cliOptionsOf('CS1');
    const { exitCode, stdout, stderr } = await runWaybill({ cliOptions }, words);
    assert.equal(exitCode, 0, stderr);
    return stdout;
  }

  const route = (...words: string[]) => waybill('route', 'set', 'CS1', 'PS1', ...words);

  async function publish(bytes: number, priority: PackageFacts['priority'] = 'PRIORITY_NORMAL') {
    const seed = testSeed * 1_000 + ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes, seed });
    const packageId = await central.create(source, { priority });
    return { packageId, source };
  }

  async function arrives({ packageId, source }: { packageId: string; source: string }) {
    await central.installed({ packageId, dpId });
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  }

  it('a limit is met: no window has more, and half of it is used at least (REP-4, PTM-6)', async () => {
    const said = await route('--limit', `${bytesPerSecond / 1e6}MB/s`);
    assert.match(said, /It sends there with the limit \d+ MB\/s, at all hours\./);
    const published = await publish(limitedBytes);
    await using meter = new WireMeter(() => link.forwardedBytes);
    const startMs = meter.nowMs;
    await central.distribute(published.packageId, dpId);
    await link.whenForwarded(limitedBytes);
    await meter.stop();
    assertKept(meter, bytesPerSecond, startMs);
    // How fast a busy machine can be at all, is for the benchmarks to say.
    if (isLong) {
      const within = { fromMs: meter.whenGone(mebibyte / 4), toMs: meter.whenGone(limitedBytes) };
      const { most } = meter.extremes(windowMs, within);
      const allowed = (bytesPerSecond * windowShareMax * windowMs) / 1000;
      assert.ok(most <= allowed, `${most} bytes in ${windowMs} ms; allowed: ${allowed}`);
      const meanMs = (limitedBytes * 1000) / (bytesPerSecond / 2);
      assert.ok(within.toMs - within.fromMs <= meanMs, 'half of it is used at least');
    }
    await arrives(published);
  });

  it('a window that closes stops a send, also over a crash, and it goes on there (REP-4, PTM-5)', async () => {
    await route('--limit', '2MB/s');
    const published = await publish(limitedBytes);
    const { packageId } = published;
    await central.distribute(packageId, dpId);
    await link.whenForwarded(limitedBytes / 4);
    await route('--schedule', 'closed');
    const isClosed = ({ state, reason = '' }: { state?: string; reason?: string }) =>
      state === 'SEND_REQUEST_STATE_PENDING' && reason.startsWith('Window closed');
    await central.sendRequestIs({ packageId }, isClosed);
    const sentBytes = link.forwardedBytes;
    await network.agent('CS1').kill();
    await network.agent('CS1').start();
    await central.sendRequestIs({ packageId }, isClosed);
    assert.ok(link.forwardedBytes - sentBytes < talkBytesMax / 4, 'nothing goes');
    assert.ok(link.forwardedBytes < limitedBytes);
    assert.match(await waybill('send', 'list'), /Window closed/);
    await route('--schedule', 'none', '--limit', 'none');
    await arrives(published);
    const sent = link.forwardedBytes;
    assert.ok(sent <= limitedBytes + talkBytesMax, `${sent} of ${limitedBytes}: no byte twice`);
  });

  it('an urgent package gets the place of a running one, which goes on afterwards (ADM-2)', async () => {
    await route('--limit', '2MB/s');
    const big = await publish(bigBytes, 'PRIORITY_LOW');
    const urgent = await publish(mebibyte, 'PRIORITY_HIGH');
    await central.distribute(big.packageId, dpId);
    await link.whenForwarded(2 * mebibyte);
    await central.distribute(urgent.packageId, dpId);
    await central.installed({ packageId: urgent.packageId, dpId });
    assert.ok(link.forwardedBytes < bigBytes, 'the big one is not through');
    await route('--limit', 'none');
    await arrives(urgent);
    await arrives(big);
    const sent = link.forwardedBytes;
    assert.ok(sent <= bigBytes + mebibyte + talkBytesMax, `${sent}: no byte twice`);
  });

  it('what is said at one site of a DP of another is set there, and taken away (ADM-3)', async () => {
    const primary = await network.administrator('PS1');
    const said = await waybill('dp', 'set', dpId, '--limit', '5MB/s', '--serve-schedule', 'closed');
    assert.match(said, /It is sent to with the limit 5 MB\/s, at all hours\./);
    await primary.distributionPointsAre(([point]) => {
      const { limit } = point?.controls ?? {};
      const { schedule } = point?.serveControls ?? {};
      return limit?.bytesPerSecond === '5000000' && schedule?.hours[0] === 'WINDOW_LEVEL_CLOSED';
    });
    await waybill('dp', 'set', dpId, '--limit', 'none', '--serve-schedule', 'none');
    await primary.distributionPointsAre(([point]) => !point?.controls && !point?.serveControls);
  });

  it('a link limits what is sent over it, and lets go of it when it is deleted (PTM-6)', async () => {
    await waybill('link', 'set', 'line', '--to', 'PS1', '--limit', '1MB/s');
    const published = await publish(limitedBytes);
    await using meter = new WireMeter(() => link.forwardedBytes);
    const startMs = meter.nowMs;
    await central.distribute(published.packageId, dpId);
    await link.whenForwarded(4 * mebibyte);
    await meter.stop();
    assertKept(meter, 1_000_000, startMs);
    await waybill('link', 'delete', 'line');
    await arrives(published);
  });
});
