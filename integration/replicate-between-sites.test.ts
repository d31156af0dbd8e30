import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Administrator } from './administrator.ts';
import { dpIdsOf, HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { storedHashes, storesOnlyWhatIsUsed } from './library-files.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const imageBytes = 6 * 1024 * 1024;
/** What else goes over a link while a package does: replication, handshakes, status. */
const talkBytesMax = 1024 * 1024;

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  {
    ...{ siteCode: 'PS1', kind: 'primary', parent: 'CS1' },
    ...{ standard: ['PS1DP1'], pull: { PS1DP2: 'PS1DP1' } },
  },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1'] },
  { siteCode: 'SS1', kind: 'secondary', parent: 'PS1', standard: ['SS1DP1'] },
];
const dpIds = sites.flatMap(dpIdsOf);
const linked = ['PS1', 'PS2', 'SS1'];

describe('a hierarchy of sites', function () {
  this.timeout(300_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let primary: Administrator;
  let other: Administrator;
  let sourceCount = 0;

  before(async () => {
    const site = { unreferencedGraceMs: 0, sweepIntervalMs: 1_000 };
    network = await HierarchyNetwork.start({ sites, links: linked, site });
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
    other = await network.administrator('PS2');
  });

  after(() => network?.stop());

  /** A file that does not compress, and small ones. */
  async function makeSource(): Promise<string> {
    const seed = ++sourceCount;
    const source = join(network.directory, `source-${seed}`);
    await writeNoise(join(source, 'image.wim'), { bytes: imageBytes, seed });
    await writeFiles(source, { 'setup.exe': `setup ${seed}`, 'docs/readme.txt': `read ${seed}` });
    return source;
  }

  async function isEqual(packageId: string, dpId: string, source: string): Promise<void> {
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  }

  function countFromZero(): void {
    for (const siteCode of linked) network.link(siteCode).to.reset();
  }

  const sentTo = (siteCode: string) => network.link(siteCode).to.forwardedBytes;

  it('brings a package of the central site to DPs of all sites, once over each link (REP-2, REP-4, REP-6, REP-8)', async () => {
    const source = await makeSource();
    countFromZero();
    const packageId = await central.create(source);
    await central.distribute(packageId, ...dpIds);
    for (const dpId of dpIds) await central.installed({ packageId, dpId });
    for (const dpId of dpIds) await isEqual(packageId, dpId, source);
    for (const siteCode of linked) {
      const sent = sentTo(siteCode);
      assert.ok(sent > imageBytes && sent < imageBytes + talkBytesMax, `${siteCode}: ${sent}`);
    }
  });

  it('sends of a new version only what changed (REP-2, PKG-5)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    await central.distribute(packageId, 'PS2DP1', 'SS1DP1');
    await central.installed({ packageId, dpId: 'PS2DP1' });
    await central.installed({ packageId, dpId: 'SS1DP1' });
    countFromZero();
    await appendFile(join(source, 'setup.exe'), ' changed');
    await central.update(packageId);
    for (const dpId of ['PS2DP1', 'SS1DP1']) {
      await central.installed({ packageId, dpId });
      await isEqual(packageId, dpId, source);
    }
    for (const siteCode of linked) assert.ok(sentTo(siteCode) < talkBytesMax, siteCode);
  });

  it('acts on what is said at one site of a package of another for a DP of a third (ROLE-4)', async () => {
    const source = await makeSource();
    const packageId = await primary.create(source);
    await other.knows(packageId);
    await other.distribute(packageId, 'SS1DP1', 'PS2DP1');
    // Status of a DP comes to its own site and to those above.
    await central.knows(packageId);
    await other.installed({ packageId, dpId: 'PS2DP1' });
    for (const dpId of ['SS1DP1', 'PS2DP1']) {
      await central.installed({ packageId, dpId });
      await isEqual(packageId, dpId, source);
    }
    const { sourceSiteCode } = await central.getPackage(packageId);
    assert.equal(sourceSiteCode, 'PS1');
  });

  it('waits on the command line for a DP of a sibling, whose status comes only there (ROLE-4)', async () => {
    const packageId = await central.create(await makeSource());
    await other.knows(packageId);
    const cli = { cliOptions: network.cliOptionsOf('PS2') };
    const words = [packageId, '--dp', 'PS1DP1', '--wait'];
    const installed = await runWaybill(cli, ['package', 'distribute', ...words]);
    assert.equal(installed.exitCode, 0, installed.stderr);
    const [row] = await primary.statuses({ packageId, dpId: 'PS1DP1' });
    assert.equal(row?.state, 'PACKAGE_STATUS_STATE_INSTALLED');
    const removed = await runWaybill(cli, ['package', 'remove', ...words]);
    assert.equal(removed.exitCode, 0, removed.stderr);
    assert.deepEqual(await primary.statuses({ packageId, dpId: 'PS1DP1' }), []);
  });

  it('keeps content away from sites without a DP that is to have it (REP-2)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    countFromZero();
    await central.distribute(packageId, 'PS2DP1');
    await central.installed({ packageId, dpId: 'PS2DP1' });
    assert.ok(sentTo('PS1') < talkBytesMax && sentTo('SS1') < talkBytesMax);
    const { storedVersion } = await primary.getPackage(packageId);
    assert.equal(storedVersion, 0);
  });

  it('goes on after a partition: two edits of one package end as one, and what was asked for arrives (REP-1)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    await other.knows(packageId);
    network.link('PS2').cut();
    await central.rename(packageId, 'Named at CS1');
    await central.distribute(packageId, 'PS2DP1');
    await other.rename(packageId, 'Named at PS2, later');
    network.link('PS2').join();
    for (const administrator of [central, primary, other]) {
      await administrator.packageIs(packageId, ({ properties }) => {
        return properties?.name === 'Named at PS2, later';
      });
    }
    await central.installed({ packageId, dpId: 'PS2DP1' });
  });

  it('says of a DP whose site has no content yet that it has not arrived (DM-3)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    await other.knows(packageId);
    network.link('PS2').cut();
    await other.distribute(packageId, 'PS2DP1');
    await other.packageIs(packageId, ({ reason }) =>
      reason.includes('has not arrived from site CS1'),
    );
    network.link('PS2').join();
    await central.installed({ packageId, dpId: 'PS2DP1' });
  });

  it('is taken off DPs of other sites, whose libraries let go of it (PKG-7)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    await central.distribute(packageId, 'PS2DP1');
    await central.installed({ packageId, dpId: 'PS2DP1' });
    const before = await storedHashes(network.dataDirectoryOf('PS2'));
    await central.remove(packageId, 'PS2DP1');
    await central.removed({ packageId, dpId: 'PS2DP1' });
    await other.packageIs(packageId, ({ storedVersion }) => storedVersion === 0);
    await storesOnlyWhatIsUsed(network.dataDirectoryOf('PS2'));
    assert.ok((await storedHashes(network.dataDirectoryOf('PS2'))).length < before.length);
  });

  it('is deleted from wherever: its source site does it, and it is gone from all (PKG-7, ROLE-4, SEC-1)', async () => {
    const source = await makeSource();
    const packageId = await primary.create(source);
    await primary.distribute(packageId, 'PS1DP1', 'PS2DP1');
    await central.knows(packageId);
    await central.installed({ packageId, dpId: 'PS1DP1' });
    await central.installed({ packageId, dpId: 'PS2DP1' });
    await assert.rejects(other.delete(packageId), { code: 'SITE_HAS_NO_SAY' });
    const options = { cliOptions: network.cliOptionsOf('PS2') };
    const deletion = await runWaybill(options, ['package', 'delete', packageId, '--yes', '--wait']);
    assert.equal(deletion.exitCode, 0, deletion.stderr);
    for (const administrator of [central, primary, other]) {
      await administrator.packagesAre((packages) => {
        return packages.every((one) => one.packageId !== packageId);
      });
    }
    for (const siteCode of ['PS1', 'PS2']) {
      await storesOnlyWhatIsUsed(network.dataDirectoryOf(siteCode));
    }
  });

  it('takes back its rows from its parent when its state store is lost (REP-1)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    await central.distribute(packageId, 'PS2DP1');
    await central.installed({ packageId, dpId: 'PS2DP1' });
    await network.loseStateStore('PS2');
    await other.knows(packageId);
    await appendFile(join(source, 'setup.exe'), ' changed');
    await central.update(packageId);
    await central.installed({ packageId, dpId: 'PS2DP1' });
    await isEqual(packageId, 'PS2DP1', source);
  });

  it('gets again what was lost with store and library together (REP-1, DM-3)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    await central.distribute(packageId, 'PS2DP1');
    await central.installed({ packageId, dpId: 'PS2DP1' });
    await network.loseStateStore('PS2', { withLibrary: true });
    await other.knows(packageId);
    await other.packageIs(packageId, ({ storedVersion }) => storedVersion === 1);
    await storesOnlyWhatIsUsed(network.dataDirectoryOf('PS2'));
  });

  it('does not bring back a DP that was deleted while its site was away (ROLE-4, ADM-3)', async () => {
    const source = await makeSource();
    const packageId = await central.create(source);
    await central.distribute(packageId, 'PS1DP1', 'SS1DP1');
    await central.installed({ packageId, dpId: 'SS1DP1' });
    network.link('SS1').cut();
    await central.deleteDistributionPoint('SS1DP1');
    const isGone = central.delete(packageId);
    await network.agent('SS1').kill();
    network.link('SS1').join();
    await network.agent('SS1').start();
    await isGone;
    const secondary = await network.administrator('SS1');
    for (const administrator of [central, primary, secondary]) {
      await administrator.packagesAre((all) => all.every((one) => one.packageId !== packageId));
      await administrator.distributionPointsAre((all) => {
        return all.every(({ dpId }) => dpId !== 'SS1DP1');
      });
    }
  });
});
