import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { SiteKind } from '../shared/domain/site.ts';
import type { Administrator } from './administrator.ts';
import { followLogs, keepLogs } from './agent-logs.ts';
import type { AgentProcess } from './agent-process.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { agentOf } from './network-agents.ts';

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

  before(async () => {
    network = await HierarchyNetwork.start({ sites, others: ['PS9'] });
    central = await network.administrator('CS1');
  });

  afterEach(async () => {
    await stranger?.kill();
    if (stranger) keepLogs([stranger.logPath]);
    stranger = undefined;
  });

  after(() => network?.stop());

  /** Starts site PS9 as its own configuration has it. */
  async function startStranger(place: { kind: SiteKind; parent: string }): Promise<void> {
    const parent = { siteCode: place.parent, address: network.agent(place.parent).address };
    const agent = await agentOf(network.certificates, join(network.directory, place.parent, 'x'), {
      identity: { kind: 'site', siteCode: 'PS9' },
      host: undefined,
      settings: { siteCode: 'PS9', kind: place.kind, parent },
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
});
