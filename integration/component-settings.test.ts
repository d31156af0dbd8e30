import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Administrator } from './administrator.ts';
import { DelayingProxy } from './delaying-proxy.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { runWaybill } from './programs.ts';
import { writeNoise } from './source-files.ts';

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1', 'PS1DP2'] },
];

/** Some forty seconds at the eight mebibytes that are on their way in two. */
const heldBytes = 160 * 1024 * 1024;

describe('component settings', function () {
  this.timeout(180_000);
  let network: HierarchyNetwork;
  let primary: Administrator;

  before(async () => {
    const site = { distribution: { packagesMax: 1, retryDelayMs: 600_000 } };
    network = await HierarchyNetwork.start({ sites, site });
    primary = await network.administrator('PS1');
  });

  after(() => network?.stop());

  async function waybill(siteCode: string, line: string) {
    return runWaybill({ cliOptions: network.cliOptionsOf(siteCode) }, line.split(' '));
  }

  async function create(name: string, bytes: number): Promise<string> {
    const source = join(network.directory, name);
    await writeNoise(join(source, 'image.wim'), { bytes, seed: bytes });
    return primary.create(source);
  }

  it('set at another site act at once, without a restart (ADM-3, PTM-2)', async () => {
    const [held, waiting] = [await create('held', heldBytes), await create('waiting', 1)];
    // Each lane of the transfer waits two seconds for each word: it keeps the only place for long.
    await using far = await DelayingProxy.start(network.dp('PS1DP1').address, 1_000);
    await primary.setAddress('PS1DP1', far.address);
    await primary.distribute(held, 'PS1DP1');
    await primary.jobIs({ packageId: held }, ({ state }) => state === 'JOB_STATE_IN_PROGRESS');
    await primary.distribute(waiting, 'PS1DP2');
    const slot = { packageId: waiting, dpId: 'PS1DP2' };
    await primary.openJobsAre(slot, ([job]) => job?.waitingReason === 'slot');
    const set = await waybill('CS1', 'settings set --site PS1 packages-at-once=2');
    assert.equal(set.stdout, 'At site PS1, packages-at-once is 2.\n', set.stderr);
    await primary.installed(slot);
    const [open] = await primary.openJobs({ packageId: held });
    assert.equal(open?.state, 'JOB_STATE_IN_PROGRESS', 'the first job still has its place');
    const audited = await waybill('CS1', 'audit');
    assert.match(audited.stdout, /SetSettings[\s\S]*siteCode=PS1 packages-at-once=2/);
    const shown = await waybill('CS1', 'settings show --site PS1');
    assert.match(shown.stdout, /packages-at-once +2 +1 +1 to 50/);
  });

  it('outlive a restart, until they are reset; what cannot be is refused (ADM-3)', async () => {
    await network.agent('PS1').kill();
    await network.agent('PS1').start();
    const kept = await waybill('PS1', 'settings --json');
    const rows: { name: string; value: string; isSet: boolean }[] = JSON.parse(kept.stdout);
    assert.equal(rows.find(({ name }) => name === 'packages-at-once')?.value, '2');
    const refused = await waybill('PS1', 'settings set package-at-once=2');
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /Did you mean packages-at-once\?/);
    const reset = await waybill('PS1', 'settings reset --all');
    assert.equal(reset.stdout, 'At site PS1, packages-at-once is as configured there, 1.\n');
    const first = await waybill('PS1', 'settings reset job-retry-first-delay');
    assert.match(first.stdout, /job-retry-first-delay is as configured there, 10m\.\n/);
  });
});
