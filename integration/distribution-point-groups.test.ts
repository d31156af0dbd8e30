import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { extractPackage, runWaybill } from './programs.ts';
import { writeFiles } from './source-files.ts';
import { treeDifference } from './tree-difference.ts';

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1', 'PS1DP2'] },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1'] },
];
const dpIds = ['PS1DP1', 'PS1DP2', 'PS2DP1'];

describe('groups of distribution points, over several sites', function () {
  this.timeout(180_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let first: Administrator;
  let second: Administrator;
  let source: string;
  let packageId: string;

  before(async () => {
    network = await HierarchyNetwork.start({ sites, links: ['PS2'] });
    central = await network.administrator('CS1');
    first = await network.administrator('PS1');
    second = await network.administrator('PS2');
    source = join(network.directory, 'source');
    await writeFiles(source, { 'setup.exe': 'setup', 'docs/readme.txt': 'read me' });
    packageId = await central.create(source);
    await first.knows(packageId);
    await second.knows(packageId);
    await central.distributionPointsAre((points) => points.length === dpIds.length);
  });

  after(() => network?.stop());

  async function waybill(siteCode: string, line: string): Promise<string> {
    const cli = { cliOptions: network.cliOptionsOf(siteCode) };
    const { exitCode, stdout, stderr } = await runWaybill(cli, line.split(' '));
    assert.equal(exitCode, 0, stderr);
    return stdout;
  }

  const siteOf = (dpId: string) => (dpId.startsWith('PS1') ? first : second);

  async function isOn(dpId: string): Promise<void> {
    await siteOf(dpId).installed({ packageId, dpId });
    const extracted = await extractPackage(network, dpId, packageId);
    assert.equal(await treeDifference(source, extracted), '');
  }

  it('get what is distributed to them, with one command at the top (PKG-4)', async () => {
    await waybill('CS1', 'group add Offices --dp PS1DP1 --dp PS2DP1');
    const line = `package distribute ${packageId} --group Offices --wait`;
    const told = await waybill('CS1', line);
    assert.match(told, /is given to group Offices\.[\s\S]*is on, verified: PS1DP1, PS2DP1\./);
    for (const dpId of ['PS1DP1', 'PS2DP1']) await isOn(dpId);
    const status = await waybill('CS1', 'status --group Offices --json');
    const rows: { dpId: string }[] = JSON.parse(status);
    assert.deepEqual(
      rows.map(({ dpId }) => dpId),
      ['PS1DP1', 'PS2DP1'],
    );
    assert.match(await waybill('PS2', 'dp show PS2DP1'), /groups +Offices/);
  });

  it('give it to whoever joins, as another site says, after a partition (ADM-3)', async () => {
    network.link('PS2').cut();
    await waybill('PS2', 'group join Offices PS1DP2');
    await waybill('CS1', 'group set Offices --description North');
    network.link('PS2').join();
    await isOn('PS1DP2');
    for (const administrator of [central, first, second]) {
      await administrator.groupsAre((groups) => {
        const [group] = groups;
        return group?.dpIds.length === 3 && group.description === 'North';
      });
    }
  });

  it('let those that leave keep it, updates included, or drop it (ADM-3)', async () => {
    await waybill('PS1', 'group leave Offices PS1DP1');
    await waybill('CS1', 'group leave Offices PS1DP2 --drop');
    await first.removed({ packageId, dpId: 'PS1DP2' });
    await appendFile(join(source, 'setup.exe'), ' changed');
    await central.update(packageId);
    await first.hears(packageId, 2);
    for (const dpId of ['PS1DP1', 'PS2DP1']) await isOn(dpId);
  });

  it('lose what is taken off them, and stay without what was taken off a DP by name (PKG-7)', async () => {
    await waybill('PS2', 'group join Offices PS1DP2 PS1DP1');
    await isOn('PS1DP2');
    await waybill('PS2', `package remove ${packageId} --dp PS1DP2`);
    await first.removed({ packageId, dpId: 'PS1DP2' });
    await network.agent('PS1').kill();
    await network.agent('PS1').start();
    await waybill('PS1', 'group set Offices --description South');
    await central.groupsAre(([group]) => group?.description === 'South');
    assert.deepEqual(await first.statuses({ packageId, dpId: 'PS1DP2' }), []);
    const removed = await waybill('CS1', `package remove ${packageId} --group Offices --wait`);
    assert.match(removed, /is removed from PS1DP1, PS2DP1\./);
    for (const dpId of dpIds) await siteOf(dpId).removed({ packageId, dpId });
    await waybill('CS1', 'group delete Offices');
    await second.groupsAre((groups) => groups.length === 0);
  });
});
