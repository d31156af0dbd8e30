import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Administrator } from '../administrator.ts';
import { dpIdsOf, HierarchyNetwork, type SiteOfTest } from '../hierarchy-network.ts';
import { NetworkHosts } from '../network-hosts.ts';
import { extractPackage } from '../programs.ts';
import { writeNoise } from '../source-files.ts';
import { byScale } from '../test-scale.ts';
import { treeDifference } from '../tree-difference.ts';

const mebibyte = 1024 * 1024;

const { sizeBytes, linkBytesPerSecond } = byScale({
  short: { sizeBytes: 24 * mebibyte, linkBytesPerSecond: 8_000_000 },
  long: { sizeBytes: 256 * mebibyte, linkBytesPerSecond: 20_000_000 },
});
/** A dead link is noticed after so long; for real it takes longer. */
const stallMs = 2_000;

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1'] },
  { siteCode: 'SS1', kind: 'secondary', parent: 'PS1', standard: ['SS1DP1'] },
];
const dpIds = sites.flatMap(dpIdsOf);

/** Each site and DP on a host of its own, with an address and a link of its own. */
describe('a hierarchy on many hosts', function () {
  this.timeout(600_000);
  let hosts: NetworkHosts;
  let network: HierarchyNetwork;
  let central: Administrator;
  let sourceCount = 0;

  before(async function () {
    hosts = await NetworkHosts.forTest(this);
    const hostOf = await hosts.addAll([...sites.map(({ siteCode }) => siteCode), ...dpIds]);
    const site = { replication: { stallMs } };
    network = await HierarchyNetwork.start({ sites, hosts: hostOf, site });
    central = await network.administrator('CS1');
    for (const { siteCode } of sites.slice(1)) await hosts.setRate(siteCode, linkBytesPerSecond);
  });

  after(async () => {
    await network?.stop();
    await hosts?.[Symbol.asyncDispose]();
  });

  async function publish(): Promise<{ packageId: string; source: string }> {
    const seed = ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes: sizeBytes, seed });
    return { packageId: await central.create(source), source };
  }

  async function isEqual(packageId: string, dpId: string, source: string): Promise<void> {
    const extracted = await extractPackage(network, dpId, packageId, `${dpId}-${packageId}`);
    assert.equal(await treeDifference(source, extracted), '');
  }

  /** Whether the central site has its child on the line. */
  function connected(siteCode: string, isConnected: boolean): Promise<void> {
    return central.sitesAre((known) => {
      const found = known.find((one) => one.siteCode === siteCode);
      return found?.replication?.connected === isConnected;
    });
  }

  /** Resolves when a part of a package has gone to a site. */
  async function isOnItsWay(packageId: string, siteCode: string): Promise<void> {
    await central.sendRequestIs({ packageId }, (one) => {
      const sent = Number(one.totalBytes) - Number(one.remainingBytes);
      return one.destinationSiteCode === siteCode && sent > 0;
    });
  }

  it('brings a package to all of them over thin links (REP-2)', async () => {
    const { packageId, source } = await publish();
    await central.distribute(packageId, ...dpIds);
    for (const dpId of dpIds) await central.installed({ packageId, dpId });
    for (const dpId of dpIds) await isEqual(packageId, dpId, source);
  });

  it('goes on when a link that was cut in the middle is joined (REP-5)', async () => {
    const { packageId, source } = await publish();
    await central.distribute(packageId, 'PS2DP1');
    await isOnItsWay(packageId, 'PS2');
    await hosts.setUp('PS2', false);
    await connected('PS2', false);
    await hosts.setUp('PS2', true);
    await central.installed({ packageId, dpId: 'PS2DP1' });
    await isEqual(packageId, 'PS2DP1', source);
  });

  it('goes on after a time in which a link went one way only (REP-1, REP-5)', async () => {
    const { packageId, source } = await publish();
    await hosts.setOneWay('PS2', 'CS1', true);
    await connected('PS2', false);
    await central.distribute(packageId, 'PS2DP1');
    // Not before something was tried in vain over that link.
    await central.sendRequestIs(
      { packageId },
      ({ state }) => state === 'SEND_REQUEST_STATE_RETRYING',
    );
    await hosts.setOneWay('PS2', 'CS1', false);
    await central.installed({ packageId, dpId: 'PS2DP1' });
    await isEqual(packageId, 'PS2DP1', source);
  });

  it('goes on when a host with all its programs dies in the middle (REP-5, REP-6)', async () => {
    const { packageId, source } = await publish();
    await central.distribute(packageId, 'SS1DP1');
    await isOnItsWay(packageId, 'PS1');
    for (const name of ['PS1', 'SS1']) await network.agent(name).kill();
    for (const name of ['PS1', 'SS1']) await network.agent(name).start();
    await central.installed({ packageId, dpId: 'SS1DP1' });
    await isEqual(packageId, 'SS1DP1', source);
  });
});
