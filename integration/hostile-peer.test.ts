import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { issueDevelopmentHierarchy } from '../certs/development-hierarchy.ts';
import { type PeerIdentity, toIdentityUri } from '../shared/domain/peer-identity.ts';
import { type PeerCredentials, readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { noiseOf } from '../shared/testing/noise.ts';
import { Administrator } from './administrator.ts';
import { type Attack, attacks } from './hostile-peer.ts';
import { adminIdentity, Network } from './network.ts';
import { peakRssBytes, resetPeakRss } from './process-figures.ts';
import { runWaybill } from './programs.ts';
import { blows } from './raw-http2.ts';
import { writeFiles } from './source-files.ts';
import { abandonedConnectionsOf } from './tcp-connections.ts';
import { byScale } from './test-scale.ts';

const dpId = 'PS1DP1';
const mebibyte = 1024 * 1024;
const attackMs = byScale({ short: 1_000, long: 20_000 });
/** What an agent may grow by, whoever does what to it. */
const growthBytesMax = 256 * mebibyte;
/** How long what an attack has left open may take to close. */
const quietMsMax = 30_000;

/** Somebody of one kind after another, and never the same: nobody pays here for what another attack did. */
function attackerAt(index: number): PeerIdentity {
  const own = `${10 + index}`;
  const kinds: readonly PeerIdentity[] = [
    { kind: 'client', name: `pc${own}` },
    { kind: 'dp', dpId: `PS1DP${own}` },
    { kind: 'site', siteCode: `X${own}` },
    { kind: 'admin', role: 'read-only', name: `rita${own}` },
  ];
  return kinds[index % kinds.length] as PeerIdentity;
}

describe('a hostile peer, and agents that go on (SEC-4, F18)', () => {
  let network: Network;
  let administrator: Administrator;
  const credentials: PeerCredentials[] = [];
  let packageCount = 0;

  before(async () => {
    network = await Network.start({ distributionPoints: [dpId] });
    administrator = await Administrator.of(network);
    const directory = join(network.directory, 'certs');
    const identities = attacks.map((_, index) => attackerAt(index));
    for (const files of await issueDevelopmentHierarchy({ directory, identities })) {
      credentials.push(await readPeerCredentials(files));
    }
    await transfer();
  });

  after(() => network.stop());

  const agents = () => [network.site, network.dp(dpId)];
  const pids = () => agents().map(({ pid }) => pid ?? assert.fail('an agent does not run'));

  /** A package that nobody has, brought to the DP: what honest peers want all day. */
  async function transfer(): Promise<void> {
    packageCount += 1;
    const source = join(network.directory, `source ${packageCount}`);
    await writeFiles(source, {
      big: noiseOf(3 * mebibyte, packageCount),
      small: `${packageCount}`,
    });
    const packageId = await administrator.create(source);
    await administrator.distribute(packageId, dpId);
    await administrator.installed({ packageId, dpId });
  }

  /** Resolves when agents hold no connection any more whose attacker is gone. */
  async function closedAgain(): Promise<void> {
    const untilMs = performance.now() + quietMsMax;
    for (;;) {
      const left = pids().flatMap(abandonedConnectionsOf);
      if (left.length === 0) return;
      assert.ok(performance.now() < untilMs, `still open: ${left.join(', ')}`);
      await sleep(50);
    }
  }

  /** Resolves when an attack has done what it is to do at least: else nothing is proven. */
  async function landed({ does }: Attack, before: typeof blows): Promise<void> {
    const { connections = 0, bytes = 0 } = does;
    const untilMs = performance.now() + quietMsMax;
    for (;;) {
      const connectionCount = blows.connectionCount - before.connectionCount;
      const writtenBytes = blows.writtenBytes - before.writtenBytes;
      if (connectionCount >= connections && writtenBytes >= bytes) return;
      const did = `${connectionCount} connections, ${writtenBytes} bytes`;
      assert.ok(performance.now() < untilMs, `no attack: ${did}`);
      await sleep(20);
    }
  }

  for (const [index, attack] of attacks.entries()) {
    const identity = attackerAt(index);
    const who = attack.needsCertificate ? toIdentityUri(identity) : 'nobody';
    it(`${attack.name}, by ${who}: transfers go on, memory is bounded, nothing is left open`, async () => {
      const running = pids();
      for (const pid of running) resetPeakRss(pid);
      const rssBefore = running.map(peakRssBytes);
      const over = new AbortController();
      const blowsBefore = { ...blows };
      const attacker = credentials[index] ?? assert.fail();
      const attacking = agents().map(({ address }) =>
        attack.run({ address, credentials: attacker }, over.signal),
      );
      await Promise.all([transfer(), sleep(attackMs), landed(attack, blowsBefore)]);
      over.abort();
      await Promise.all(attacking);
      assert.deepEqual(pids(), running, 'an agent was started again');
      for (const [at, pid] of running.entries()) {
        const growth = peakRssBytes(pid) - (rssBefore[at] ?? 0);
        assert.ok(growth < growthBytesMax, `agent ${at} grew by ${growth} bytes`);
      }
      await closedAgain();
      await transfer();
    });
  }

  it('who was over a limit stands in the audit trail, with identity and limit, and not a thousand times', async () => {
    const { stdout } = await runWaybill(network, ['audit', '--refused', '--json']);
    const records = JSON.parse(stdout) as { caller: string; result: string; detail: string }[];
    const over = records.filter(({ result }) => result === 'PEER_OVER_LIMIT');
    assert.ok(over.length > 0 && over.length < 500, `${over.length} records`);
    for (const { detail } of over) assert.match(detail, /over a limit of this server: \S+/);
    assert.ok(over.every(({ caller }) => caller !== toIdentityUri(adminIdentity)));
  });
});
