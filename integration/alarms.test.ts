import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Administrator, type StatusMessage } from './administrator.ts';
import { HierarchyNetwork } from './hierarchy-network.ts';
import { Network } from './network.ts';
import { writeFiles } from './source-files.ts';

const alarms = { noProgressMs: 1_500, distributionPointAwayMs: 1_500, siteAwayMs: 1_500 };

/** How often administrators were told this. */
function countOf(messages: readonly StatusMessage[], messageId: number): number {
  return messages.filter((one) => one.messageId === messageId).length;
}

describe('alarms of a site', () => {
  let network: Network;
  let administrator: Administrator;
  const [dpId, pullId] = ['PS1DP1', 'PS1DP2'] as const;

  before(async () => {
    network = await Network.start({
      distributionPoints: [dpId, pullId],
      pull: { [pullId]: { sources: { [dpId]: 1 } } },
      site: { alarms },
    });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  it('tell once of a job that waits for a source, and of a DP that is away; a restart does not repeat them', async () => {
    const source = join(network.directory, 'source');
    await writeFiles(source, { 'setup.exe': 'setup' });
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, pullId);
    await administrator.messagesAre((all) => countOf(all, 9030) === 1);
    await network.dp(dpId).kill();
    await administrator.distribute(packageId, dpId);
    await administrator.messagesAre((all) => countOf(all, 9031) === 1);
    const [told] = (await administrator.messages()).filter(({ messageId }) => messageId === 9031);
    assert.match(
      told?.text ?? '',
      /PS1DP1 could not be reached for \d s \(jobs that wait for it: 1\): ./,
    );
    await network.site.kill();
    await network.site.start();
    await network.dp(dpId).start();
    for (const one of [dpId, pullId]) await administrator.installed({ packageId, dpId: one });
    await administrator.messagesAre((all) => countOf(all, 9032) === 1);
    const all = await administrator.messages();
    assert.deepEqual([countOf(all, 9030), countOf(all, 9031)], [1, 1]);
    const [waiting] = all.filter(({ messageId }) => messageId === 9030);
    assert.match(waiting?.text ?? '', /on its way to distribution point PS1DP2 for \d s: ./);
  });
});

describe('alarms of a hierarchy', () => {
  let network: HierarchyNetwork;

  before(async () => {
    network = await HierarchyNetwork.start({
      sites: [
        { siteCode: 'CS1', kind: 'central-administration' },
        { siteCode: 'PS1', kind: 'primary', parent: 'CS1', standard: ['PS1DP1'] },
      ],
      site: { alarms, sending: { retryDelayMs: 1_000 } },
    });
  });

  after(() => network?.stop());

  it('tell of a neighbour that is away, of what waits for it, and when it is back', async () => {
    const central = await network.administrator('CS1');
    await central.sitesAre((sites) => {
      return sites.some(
        ({ siteCode, replication }) => siteCode === 'PS1' && !!replication?.connected,
      );
    });
    const source = join(network.directory, 'source');
    await writeFiles(source, { 'setup.exe': 'setup' });
    const packageId = await central.create(source);
    // Until it had joined it was away, too.
    const before = await central.messages();
    const newOf = (all: readonly StatusMessage[], id: number) =>
      countOf(all, id) - countOf(before, id);
    await network.agent('PS1').kill();
    await central.distribute(packageId, 'PS1DP1');
    await central.messagesAre((all) => newOf(all, 9033) === 1 && newOf(all, 9035) === 1);
    await network.agent('CS1').kill();
    await network.agent('CS1').start();
    await network.agent('PS1').start();
    await central.installed({ packageId, dpId: 'PS1DP1' });
    await central.messagesAre((all) => newOf(all, 9034) === 1);
    const all = await central.messages();
    assert.deepEqual([newOf(all, 9033), newOf(all, 9035)], [1, 1]);
  });
});
