import assert from 'node:assert/strict';
import { join } from 'node:path';
import { SeededRandom } from '../shared/testing/seeded-random.ts';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { writeNoise } from './source-files.ts';
import { byScale, testSeed } from './test-scale.ts';
import { treeDifference } from './tree-difference.ts';

const mebibyte = 1024 * 1024;
const dpId = 'PS1DP1';

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: [dpId] },
];

const { sizeBytes, timeoutMs } = byScale({
  short: { sizeBytes: 64 * mebibyte, timeoutMs: 180_000 },
  long: { sizeBytes: 512 * mebibyte, timeoutMs: 900_000 },
});

/** What may be on its way when a send is stopped, and what replication and status share the link with. */
const lostBytesMax = 17 * mebibyte;
const talkBytesMax = 2 * mebibyte;

describe(`a send that an administrator steers (ADM-2; seed ${testSeed})`, function () {
  this.timeout(timeoutMs);
  const random = new SeededRandom(testSeed);
  let network: HierarchyNetwork;
  let central: Administrator;
  let sourceCount = 0;

  before(async () => {
    network = await HierarchyNetwork.start({ sites, links: ['PS1'] });
    central = await network.administrator('CS1');
  });

  after(() => network?.stop());

  /** Publishes a package; resolves when some of it has gone to the other site. */
  async function beginSend(): Promise<{ packageId: string; source: string }> {
    const source = join(network.directory, `source-${++sourceCount}`);
    const seed = testSeed * 100 + sourceCount;
    await writeNoise(join(source, 'image.wim'), { bytes: sizeBytes, seed });
    const packageId = await central.create(source);
    network.link('PS1').to.reset();
    await central.distribute(packageId, dpId);
    await network.link('PS1').to.whenForwarded(sizeBytes * (0.1 + 0.5 * random.next()));
    // A command takes longer than all the rest would.
    network.link('PS1').to.hold();
    return { packageId, source };
  }

  async function waybill(...words: string[]): Promise<string> {
    const options = { cliOptions: network.cliOptionsOf('CS1') };
    const { stdout, stderr, exitCode } = await runWaybill(options, words);
    assert.equal(exitCode, 0, stderr);
    return stdout;
  }

  it('goes on where it was when it is resumed, also over kill -9 of the site', async () => {
    const { packageId, source } = await beginSend();
    assert.match(await waybill('send', 'suspend', '--all'), /1 send request suspended/);
    network.link('PS1').to.release();
    await network.agent('CS1').kill();
    await network.agent('CS1').start();
    const isSuspended = ({ state }: { state: string }) => state === 'SEND_REQUEST_STATE_SUSPENDED';
    await central.sendRequestIs({ packageId }, isSuspended);
    await waybill('send', 'resume', '--package', packageId);
    await central.installed({ packageId, dpId });
    const { forwardedBytes } = network.link('PS1').to;
    const bound = 1.02 * sizeBytes + lostBytesMax + talkBytesMax;
    process.stdout.write(`      ${(forwardedBytes / mebibyte).toFixed(1)} MiB on the wire\n`);
    assert.ok(forwardedBytes <= bound, `${forwardedBytes} bytes, over ${bound}`);
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  });

  it('is not sent again when it is cancelled, until somebody retries what failed', async () => {
    const { packageId } = await beginSend();
    const [request] = JSON.parse(await waybill('send', '--package', packageId, '--json'));
    await waybill('send', 'cancel', request.requestId);
    network.link('PS1').to.release();
    const failed = await central.statusIs({ packageId, dpId: '' }, ({ state, siteCode }) => {
      return siteCode === 'PS1' && state === 'PACKAGE_STATUS_STATE_INSTALL_FAILED';
    });
    assert.equal(failed.reason, 'Site CS1 could not send it: Cancelled by an administrator');
    assert.equal(await waybill('send'), 'Nothing is being sent.\n');
    assert.equal(await waybill('retry'), `Bringing it again to site PS1, for ${dpId}.\n`);
    await central.installed({ packageId, dpId });
    assert.equal(await waybill('status', '--failed'), 'Nothing has failed.\n');
  });
});
