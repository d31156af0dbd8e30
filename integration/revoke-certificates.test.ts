import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { issueDevelopmentHierarchy } from '../certs/development-hierarchy.ts';
import { isErrorWithCode } from '../shared/domain/errors.ts';
import { holderOf, type PeerIdentity, toIdentityUri } from '../shared/domain/peer-identity.ts';
import type { ConversationName } from '../shared/rpc/conversation.ts';
import { type PeerCredentials, readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import type { Administrator } from './administrator.ts';
import { HierarchyNetwork, type SiteOfTest } from './hierarchy-network.ts';
import { dpIdentity } from './network-agents.ts';
import { programs, runProgram } from './programs.ts';
import { writeNoise } from './source-files.ts';

const deadlineMs = 20_000;
const megabyte = 1_000_000;
const sites: readonly SiteOfTest[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  {
    siteCode: 'PS1',
    kind: 'primary',
    parent: 'CS1',
    standard: ['PS1DP1', 'PS1DP3'],
    pull: { PS1DP2: 'PS1DP1' },
  },
  { siteCode: 'PS2', kind: 'primary', parent: 'CS1', standard: ['PS2DP1'] },
];
const bob: PeerIdentity = { kind: 'admin', role: 'full', name: 'bob' };

describe('certificates that are revoked (SEC-3)', function () {
  this.timeout(180_000);
  let network: HierarchyNetwork;
  let central: Administrator;
  let primary: Administrator;
  let sourceCount = 0;
  const channels: { close(): void }[] = [];

  before(async () => {
    network = await HierarchyNetwork.start({ sites });
    central = await network.administrator('CS1');
    primary = await network.administrator('PS1');
  });

  afterEach(() => {
    for (const channel of channels.splice(0)) channel.close();
  });

  after(() => network?.stop());

  /** `waybill certs revoke` at a site. */
  async function revoke(siteCode: string, holder: string): Promise<void> {
    const words = ['certs', 'revoke', holder, '--reason', 'a test', '--yes', '--force'];
    const end = await runProgram(programs.waybill, [...words, ...network.cliOptionsOf(siteCode)]);
    assert.equal(end.exitCode, 0, end.stderr);
    assert.match(end.stdout, /count no more/);
  }

  /** A certificate of the hierarchy, made now. */
  async function issued(identity: PeerIdentity): Promise<PeerCredentials> {
    const directory = join(network.directory, 'certs');
    const [files] = await issueDevelopmentHierarchy({ directory, identities: [identity] });
    assert.ok(files);
    return readPeerCredentials(files);
  }

  /** The holder gets another certificate, which begins after he was revoked. */
  async function issuedAnew(identity: PeerIdentity): Promise<PeerCredentials> {
    const path = join(network.directory, 'certs', holderOf(identity).replace('/', '-'));
    await Promise.all(['.crt', '.key'].map((suffix) => rm(`${path}${suffix}`)));
    // Certificates count in whole seconds: in this one it might seem to be from before.
    await sleep(1_000 - (Date.now() % 1_000));
    return issued(identity);
  }

  function channelTo<C extends ConversationName>(
    conversation: C,
    agent: string,
    credentials: PeerCredentials,
  ): RpcChannel<C> {
    const { address } = network.agent(agent);
    const channel = new RpcChannel({
      ...{ conversation, address, credentials },
      expected: () => true,
      expectedText: agent,
    });
    channels.push(channel);
    return channel;
  }

  /** Waits until an agent has written down that it refused somebody; a DP writes it to its log. */
  async function refusedAtDp(dpId: string, identity: PeerIdentity, method: string): Promise<void> {
    const path = join(network.dataDirectoryOf(dpId), 'logs', 'audit.log');
    const uri = toIdentityUri(identity);
    const line = `"caller":"${uri}",.*"method":"${method}","result":"CERTIFICATE_REFUSED"`;
    while (!new RegExp(line).test(await readFile(path, 'utf8').catch(() => ''))) await sleep(20);
  }

  /** Waits until the DP's site shows it so, without asking it anything. */
  async function healthIs(dpId: string, word: 'REACHABLE' | 'UNREACHABLE', why = /^$/) {
    const reachability = `DISTRIBUTION_POINT_REACHABILITY_${word}`;
    await primary.distributionPointsAre((points) =>
      points.some((one) => {
        return one.dpId === dpId && one.reachability === reachability && why.test(one.reason);
      }),
    );
  }

  const refusedAtSite = (at: Administrator, identity: PeerIdentity, method: string) =>
    at.auditIs((record) => {
      const isWhom = record.caller === toIdentityUri(identity) && record.method === method;
      return isWhom && record.result === 'CERTIFICATE_REFUSED';
    });

  /** Waits until nobody is let in with this any more: a DP has to be told. */
  async function isShutOut(agent: string, credentials: PeerCredentials): Promise<void> {
    while ((await answerOf(channelTo('Content', agent, credentials))) !== 'closed') await sleep(20);
  }

  /** Whether an agent lets somebody in. */
  async function answerOf(channel: RpcChannel<'Content'>): Promise<'closed' | 'answered'> {
    try {
      for await (const _ of channel.serverStream('getManifest', {}, { deadlineMs }));
      return 'answered';
    } catch (error) {
      return isErrorWithCode(error, 'PEER_UNREACHABLE') ? 'closed' : 'answered';
    }
  }

  /** One large file. @returns the package's ID */
  async function newPackage(): Promise<string> {
    sourceCount += 1;
    const source = join(network.directory, `source ${sourceCount}`);
    await writeNoise(join(source, 'big.bin'), { bytes: 12 * megabyte, seed: sourceCount });
    return primary.create(source);
  }

  it('a DP in the middle of a push: cut, with the reason; a new certificate lets it go on (F23)', async () => {
    const dpId = 'PS1DP1';
    const packageId = await newPackage();
    await primary.setLimit(dpId, megabyte);
    await primary.distribute(packageId, dpId);
    await primary.jobIs({ packageId, dpId }, ({ bytesSent }) => Number(bytesSent) > 0);
    // Said at the top, obeyed at the DP's site.
    await revoke('CS1', `dp/${dpId}`);
    const job = await primary.jobIs({ packageId, dpId }, ({ state, reason }) => {
      return state === 'JOB_STATE_PENDING_RESTART' && /it was revoked at/.test(reason);
    });
    assert.match(job.reason, /waybill:\/\/dp\/PS1DP1, which does not count: it was revoked at/);
    assert.ok(Number(job.bytesSent) < 12 * megabyte);
    await primary.setLimit(dpId, undefined);
    await isShutOut('PS1', await issued(dpIdentity(dpId)));
    // DPs of this site and of another have been told, too.
    await isShutOut('PS1DP3', await issued(dpIdentity(dpId)));
    await isShutOut('PS2DP1', await issued(dpIdentity(dpId)));
    await issuedAnew(dpIdentity(dpId));
    await network.agent(dpId).kill();
    await network.agent(dpId).start();
    await primary.installed({ packageId, dpId });
  });

  it('a DP that has nothing to do: is shown as unreachable at once, until it is enrolled anew', async () => {
    const dpId = 'PS1DP3';
    await healthIs(dpId, 'REACHABLE');
    await revoke('CS1', `dp/${dpId}`);
    await healthIs(dpId, 'UNREACHABLE', /it was revoked at/);
    await issuedAnew(dpIdentity(dpId));
    await network.agent(dpId).kill();
    await network.agent(dpId).start();
    await healthIs(dpId, 'REACHABLE');
  });

  it('a pull DP in the middle of a pull: cut by its source and its site (F23)', async () => {
    const [source, dpId] = ['PS1DP1', 'PS1DP2'];
    const packageId = await newPackage();
    await primary.install(packageId, source);
    const admin = await network.admin('PS1');
    const slow = { limit: { bytesPerSecond: megabyte } };
    await admin.unary(
      'setDistributionPoint',
      { dpId: source, serveControls: slow },
      { deadlineMs },
    );
    await primary.distribute(packageId, dpId);
    await primary.jobIs({ packageId, dpId }, ({ bytesSent }) => Number(bytesSent) > 0);
    await revoke('PS1', `dp/${dpId}`);
    await refusedAtDp(source, dpIdentity(dpId), 'connection');
    await refusedAtSite(primary, dpIdentity(dpId), 'connection');
    const revoked = await issued(dpIdentity(dpId));
    for (const agent of [source, 'PS1', 'CS1']) await isShutOut(agent, revoked);
    await admin.unary(
      'setDistributionPoint',
      { dpId: source, serveControls: { noLimit: true } },
      { deadlineMs },
    );
    await issuedAnew(dpIdentity(dpId));
    await network.agent(dpId).kill();
    await network.agent(dpId).start();
    await primary.installed({ packageId, dpId });
  });

  it('a DP that was deleted: is out at its site, at another, and at their DPs', async () => {
    const credentials = await issued(dpIdentity('PS1DP3'));
    const watched = channelTo('Content', 'PS2DP1', credentials);
    await watched.whenReachable();
    await central.deleteDistributionPoint('PS1DP3');
    await refusedAtDp('PS2DP1', dpIdentity('PS1DP3'), 'connection');
    await isShutOut('CS1', credentials);
    await isShutOut('PS1', credentials);
    await isShutOut('PS2DP1', credentials);
  });

  it('an administrator: his open watch is cut, and he is let in nowhere', async () => {
    const credentials = await issued(bob);
    const channel = channelTo('Admin', 'PS2', credentials);
    await channel.unary('getSite', {}, { deadlineMs });
    const watching = (async () => {
      for await (const _ of channel.serverStream('watchJobs', {}, {}));
    })();
    watching.catch(() => {});
    await revoke('CS1', 'admin/bob');
    await assert.rejects(watching, (error) => isErrorWithCode(error, 'PEER_UNREACHABLE'));
    await refusedAtSite(await network.administrator('PS2'), bob, 'connection');
    for (const agent of ['CS1', 'PS2', 'PS1DP1']) await isShutOut(agent, credentials);
    await channelTo('Admin', 'CS1', await issuedAnew(bob)).unary('getSite', {}, { deadlineMs });
  });

  it('a site: is cut from its parent, and does not come back', async () => {
    await central.sitesAre((known) => {
      return known.some((one) => one.siteCode === 'PS2' && one.replication?.connected === true);
    });
    await revoke('CS1', 'site/PS2');
    const site = { kind: 'site', siteCode: 'PS2' } as const;
    await refusedAtSite(central, site, 'connection');
    for (const agent of ['CS1', 'PS1', 'PS1DP1']) await isShutOut(agent, await issued(site));
    const [, record] = (await central.sites()).filter(({ siteCode }) => siteCode !== 'PS1');
    assert.equal(record?.siteCode, 'PS2');
    assert.notEqual(record?.replication?.connected, true);
  });
});
