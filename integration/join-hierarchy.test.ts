import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { SiteKind } from '../shared/domain/site.ts';
import { readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { Administrator } from './administrator.ts';
import { followLogs, keepLogs } from './agent-logs.ts';
import type { AgentProcess } from './agent-process.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { adminIdentity, agentOf } from './network-agents.ts';
import { writeFiles } from './source-files.ts';

const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: 'CS1' },
];
const deadlineMs = 20_000;

describe('sites that want to join (ROLE-1, REP-1, SEC-1)', function () {
  this.timeout(120_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let stranger: AgentProcess | undefined;
  const channels: RpcChannel<'Admin'>[] = [];

  before(async () => {
    network = await HierarchyNetwork.start({ sites, others: ['PS9', 'PS8'] });
    central = await network.administrator('CS1');
  });

  afterEach(async () => {
    for (const channel of channels.splice(0)) channel.close();
    await stranger?.kill();
    if (stranger) keepLogs([stranger.logPath]);
    stranger = undefined;
  });

  after(() => network?.stop());

  /** Starts a site as its own configuration has it. */
  async function startStranger(place: {
    siteCode?: string;
    kind: SiteKind;
    parent?: string;
  }): Promise<void> {
    const { siteCode = 'PS9', kind, parent: above } = place;
    const parent = above && {
      parent: { siteCode: above, address: network.agent(above).address },
    };
    const folder =
      siteCode === 'PS9' ? join(network.directory, above ?? '', 'x') : network.directory;
    const agent = await agentOf(network.certificates, folder, {
      identity: { kind: 'site', siteCode },
      host: undefined,
      settings: { siteCode, kind, ...parent },
    });
    stranger = agent;
    followLogs([agent.logPath]);
    await agent.start();
  }

  async function define(siteCode: string, kind: 'PRIMARY' | 'SECONDARY', parentSiteCode: string) {
    const settings = { siteCode, kind: `SITE_KIND_${kind}` as const, parentSiteCode };
    const admin = await network.admin('CS1');
    await admin.unary('addSite', { ...settings, address: '127.0.0.1:9' }, { deadlineMs });
  }

  async function strangerAdmin(siteCode: string) {
    const channel = new RpcChannel({
      conversation: 'Admin',
      address: stranger?.address ?? '',
      expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
      expectedText: `site ${siteCode}`,
      credentials: await readPeerCredentials(network.certificates.filesOf(adminIdentity)),
    });
    channels.push(channel);
    return channel;
  }

  async function refused(administrator: Administrator, code: string): Promise<void> {
    await administrator.auditIs((record) => {
      const isOfStranger = record.caller === 'waybill://site/PS9';
      return isOfStranger && record.method.endsWith('Synchronise') && record.result === code;
    });
  }

  it('is refused and audited when nobody made it known', async () => {
    await startStranger({ kind: 'primary', parent: 'CS1' });
    await refused(central, 'SITE_UNKNOWN');
  });

  it('is refused and audited when it names another parent, or is of another kind, than was said', async () => {
    await define('PS9', 'PRIMARY', 'CS1');
    const primary = await network.administrator('PS1');
    await primary.sitesAre((known) => known.some(({ siteCode }) => siteCode === 'PS9'));
    await startStranger({ kind: 'secondary', parent: 'PS1' });
    await refused(primary, 'SITE_PARENT_MISMATCH');
    const joined = await central.sites();
    assert.ok(joined.some(({ siteCode, agentVersion }) => siteCode === 'PS9' && !agentVersion));
  });

  it('is taken, with a full copy of what all know, once it is as it was said', async () => {
    await startStranger({ kind: 'primary', parent: 'CS1' });
    await central.sitesAre((known) => {
      return known.some((one) => one.siteCode === 'PS9' && one.replication?.connected === true);
    });
  });

  it('brings along what it was alone with: its packages, its DPs and what is wanted of them', async () => {
    await startStranger({ siteCode: 'PS8', kind: 'primary' });
    const alone = await Administrator.of({ admin: () => strangerAdmin('PS8') });
    const source = join(network.directory, 'alone');
    await writeFiles(source, { 'setup.exe': 'setup' });
    const packageId = await alone.create(source);
    await alone.addDistributionPoint('PS8DP1', '127.0.0.1:9');
    await alone.distribute(packageId, 'PS8DP1');
    await stranger?.kill();
    await define('PS8', 'PRIMARY', 'CS1');
    await startStranger({ siteCode: 'PS8', kind: 'primary', parent: 'CS1' });
    await central.knows(packageId);
    await central.distributionPointsAre((all) => {
      return all.some(({ dpId, siteCode }) => dpId === 'PS8DP1' && siteCode === 'PS8');
    });
    await central.statusIs({ packageId, dpId: 'PS8DP1' }, ({ targetVersion }) => targetVersion > 0);
  });
});
