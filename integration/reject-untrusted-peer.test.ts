import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { issueDevelopmentHierarchy } from '../certs/development-hierarchy.ts';
import { isErrorWithCode } from '../shared/domain/errors.ts';
import type { PeerIdentity } from '../shared/domain/peer-identity.ts';
import { type PeerCredentialFiles, readPeerCredentials } from '../shared/rpc/peer-credentials.ts';
import { RpcChannel } from '../shared/rpc/rpc-channel.ts';
import { Administrator } from './administrator.ts';
import type { AgentProcess } from './agent-process.ts';
import { freePort } from './free-port.ts';
import { referencedHashes } from './library-files.ts';
import { adminIdentity, Network } from './network.ts';
import { type ProgramEnd, programs, runProgram, runWaybill } from './programs.ts';
import { foreignClient } from './rpc/foreign-client.ts';
import { definitionsOf, firstAnswer, health, listServices, methodOf } from './rpc/tool-client.ts';
import { scanKept } from './secrets/produced-output.ts';
import { writeFiles } from './source-files.ts';

const dpIdentity = (dpId: string) => ({ kind: 'dp', dpId }) as const;
const deadlineMs = 10_000;

describe('peers that are not trusted, and real agents (SEC-1, ADM-5)', () => {
  let network: Network;
  let administrator: Administrator;
  /** Where each agent tells metrics. */
  let metricsAt: Readonly<Record<'PS1' | 'PS1DP1', string>>;

  before(async () => {
    metricsAt = {
      PS1: `127.0.0.1:${await freePort()}`,
      PS1DP1: `127.0.0.1:${await freePort()}`,
    };
    network = await Network.start({
      site: { metrics: { listen: metricsAt.PS1 } },
      dp: (dpId) => (dpId === 'PS1DP1' ? { metrics: { listen: metricsAt.PS1DP1 } } : {}),
    });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  /** A certificate of this hierarchy, or of one that calls itself the same. */
  async function certificateOf(
    identity: PeerIdentity,
    from: 'ours' | 'foreign' = 'ours',
  ): Promise<PeerCredentialFiles> {
    const directory = join(network.directory, from === 'ours' ? 'certs' : 'foreign-certs');
    const [certificate] = await issueDevelopmentHierarchy({ directory, identities: [identity] });
    assert.ok(certificate);
    return certificate;
  }

  /** Runs `waybill` at the site with another certificate. */
  async function runAs(files: PeerCredentialFiles, words: readonly string[]): Promise<ProgramEnd> {
    const { caFile } = network.certificateFiles(adminIdentity);
    const certificate = ['--cert', files.certificateFile, '--key', files.keyFile];
    const connection = ['--server', network.site.address, '--ca', caFile, ...certificate];
    return runProgram(programs.waybill, [...words, ...connection]);
  }

  /** What the site's audit trail has of refused calls, newest last. */
  async function refusals(): Promise<{ caller: string; method: string; result: string }[]> {
    const { exitCode, stdout } = await runWaybill(network, ['audit', '--refused', '--json']);
    assert.equal(exitCode, 0);
    return JSON.parse(stdout);
  }

  /** A DP logs its audit lines a moment after it has answered; what never comes is told. */
  async function dpAuditHas(dp: AgentProcess, line: RegExp): Promise<void> {
    const path = join(network.dataDirectoryOf(dp.name), 'logs', 'audit.log');
    for (let look = 0; look < 200; look++) {
      if (line.test(await readFile(path, 'utf8'))) return;
      await sleep(50);
    }
    assert.match(await readFile(path, 'utf8'), line);
  }

  /** Connects without a certificate; resolves when the agent has hung up. */
  async function connectWithoutCertificate(agent: AgentProcess): Promise<void> {
    const [host, port] = agent.address.split(':');
    const ca = await readFile(network.certificateFiles(adminIdentity).caFile);
    const checkServerIdentity = () => undefined;
    const options = { host, port: Number(port), ca, ALPNProtocols: ['h2'], checkServerIdentity };
    const socket = connect(options);
    socket.on('error', () => {});
    socket.resume();
    await new Promise<void>((resolve) => socket.once('close', () => resolve()));
  }

  it('no certificate: site and DP hang up and write it down', async () => {
    for (const agent of [network.site, ...network.dps]) await connectWithoutCertificate(agent);
    const { caller, method, result } = (await refusals()).at(-1) ?? assert.fail();
    assert.deepEqual([caller, method], ['unauthenticated', 'tls-handshake']);
    assert.notEqual(result, 'ok');
    for (const dp of network.dps) {
      await dpAuditHas(dp, /"caller":"unauthenticated".*"method":"tls-handshake"/);
    }
  });

  it("a foreign CA's certificate: refused and written down, whatever name is in it", async () => {
    const foreign = await readPeerCredentials(await certificateOf(adminIdentity, 'foreign'));
    const { ca } = await readPeerCredentials(network.certificateFiles(adminIdentity));
    const channel = new RpcChannel({
      conversation: 'Admin',
      address: network.site.address,
      expected: () => true,
      expectedText: 'a site server',
      credentials: { ...foreign, ca },
    });
    try {
      // Over TCP a refusal may be heard as a reset: the words are about the closing alone then.
      const refused = { code: 'PEER_UNREACHABLE', message: /it closed the connection/ };
      await assert.rejects(channel.unary('getSite', {}, { deadlineMs }), refused);
    } finally {
      channel.close();
    }
    const { caller, method } = (await refusals()).at(-1) ?? assert.fail();
    assert.deepEqual([caller, method], ['unauthenticated', 'tls-handshake']);
  });

  it("a DP's certificate on the methods of administrators: refused and written down", async () => {
    const files = network.certificateFiles(dpIdentity('PS1DP1'));
    for (const [words, method] of [
      [['package', 'list'], 'ListPackages'],
      [['package', 'delete', 'PS100001', '--yes'], 'DeletePackage'],
    ] as const) {
      const { exitCode, stderr } = await runAs(files, words);
      assert.equal(exitCode, 1, stderr);
      assert.match(stderr, /waybill:\/\/dp\/PS1DP1 may not call .*; expected administrators/);
      const last = (await refusals()).at(-1) ?? assert.fail();
      assert.equal(last.caller, 'waybill://dp/PS1DP1');
      assert.match(last.method, new RegExp(`/${method}$`));
      assert.equal(last.result, 'PEER_NOT_ALLOWED');
    }
  });

  it('an administrator who may only read: sees all and changes nothing', async () => {
    const files = await certificateOf({ kind: 'admin', role: 'read-only', name: 'rita' });
    assert.equal((await runAs(files, ['status'])).exitCode, 0);
    const { exitCode, stderr } = await runAs(files, ['dp', 'delete', 'PS1DP2', '--yes']);
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /you are rita, whose role is read-only; this takes an administrator with full rights/,
    );
    assert.equal((await refusals()).at(-1)?.caller, 'waybill://admin/read-only/rita');
  });

  it('another site, and a DP, at a DP: refused and written down', async () => {
    const dp = network.dp('PS1DP1');
    for (const [identity, name] of [
      [{ kind: 'site', siteCode: 'PS2' } as const, 'waybill://site/PS2'],
      [dpIdentity('PS1DP2'), 'waybill://dp/PS1DP2'],
      [adminIdentity, 'waybill://admin/full/admin'],
    ] as const) {
      const channel = new RpcChannel({
        conversation: 'DistributionPoint',
        address: dp.address,
        expected: () => true,
        expectedText: 'the DP',
        credentials: await readPeerCredentials(await certificateOf(identity)),
      });
      const action = { packageId: 'PS100001', jobSerial: 1 };
      await assert.rejects(channel.unary('removePackage', { action }, { deadlineMs }), (error) =>
        isErrorWithCode(error, 'PEER_NOT_ALLOWED'),
      );
      channel.close();
      const refused = `"caller":"${name}".*RemovePackage","result":"PEER_NOT_ALLOWED"`;
      await dpAuditHas(dp, new RegExp(refused));
    }
  });

  it('a DP that shows the certificate of another: is told no content, and the job says whose it is', async () => {
    const source = join(network.directory, 'secret');
    await writeFiles(source, { 'secret.txt': 'for PS1DP1 only' });
    const packageId = await administrator.create(source);
    const [right, wrong] = [network.dp('PS1DP1').address, network.dp('PS1DP2').address];
    await administrator.setAddress('PS1DP1', wrong);
    const { exitCode, stderr } = await runWaybill(network, ['dp', 'check', 'PS1DP1']);
    assert.equal(exitCode, 1);
    const shown = /shows the certificate of waybill:\/\/dp\/PS1DP2; expected .*PS1DP1/;
    assert.match(stderr, shown);
    await administrator.distribute(packageId, 'PS1DP1');
    const job = await administrator.jobIs({ packageId }, ({ state }) => {
      return state === 'JOB_STATE_PENDING_RESTART';
    });
    assert.match(job.reason, shown);
    assert.equal(job.bytesSent, '0');
    assert.deepEqual(await referencedHashes(network.dataDirectoryOf('PS1DP2')), []);
    await administrator.setAddress('PS1DP1', right);
    await administrator.installed({ packageId, dpId: 'PS1DP1' });
  });

  it('an agent whose certificate is not its own: does not start, and says so', async () => {
    const { configPath } = network.dp('PS1DP1');
    const config = await readFile(configPath, 'utf8');
    const path = join(network.directory, 'impostor.yaml');
    const impostor = config.replace('dpId: PS1DP1', 'dpId: PS1DP9');
    await writeFiles(network.directory, {
      'impostor.yaml': impostor.replaceAll('/PS1DP1', '/new'),
    });
    const { exitCode, stdout, stderr } = await runProgram(programs.waybillDp, ['--config', path]);
    assert.notEqual(exitCode, 0);
    assert.match(
      stdout + stderr,
      /The file .* cannot be used: it is the certificate of waybill:\/\/dp\/PS1DP1; expected waybill:\/\/dp\/PS1DP9/,
    );
  });

  it('tools with a certificate: list the services, ask the health, and call what they were told of (ADM-7)', async () => {
    const credentials = await readPeerCredentials(network.certificateFiles(adminIdentity));
    const check = methodOf(health, 'grpc.health.v1.Health', 'Check');
    for (const [agent, services] of [
      [
        network.site,
        ['Admin', 'Content', 'ManagementPoint', 'Replication', 'SiteTransfer'].map(
          (name) => `waybill.v1.${name}`,
        ),
      ],
      [network.dp('PS1DP1'), ['waybill.v1.Content', 'waybill.v1.DistributionPoint']],
    ] as const) {
      const caller = foreignClient(agent.address, credentials);
      assert.deepEqual(await listServices(caller), ['grpc.health.v1.Health', ...services]);
      for (const service of services) {
        assert.deepEqual(await firstAnswer(caller, check, { service }), { status: 'SERVING' });
      }
      caller.close();
    }
    const caller = foreignClient(network.site.address, credentials);
    const definitions = await definitionsOf(caller, 'waybill.v1.Admin');
    const getSite = methodOf(definitions, 'waybill.v1.Admin', 'GetSite');
    const answer = (await firstAnswer(caller, getSite, {})) as { siteCode: string };
    assert.equal(answer.siteCode, 'PS1');
    caller.close();
  });

  it('a scraper, which has no certificate: reads metrics, and nothing of packages or people (ADM-7)', async () => {
    const { exitCode } = await runWaybill(network, ['dp', 'check', 'PS1DP1']);
    assert.equal(exitCode, 0);
    const site = await (await fetch(`http://${metricsAt.PS1}/metrics`)).text();
    const dp = await (await fetch(`http://${metricsAt.PS1DP1}/metrics`)).text();
    for (const line of [
      /^waybill_distribution_point_up\{distribution_point="PS1DP1"\} 1$/m,
      /^waybill_jobs_ended_total\{state="complete"\} [1-9]\d*$/m,
      /^waybill_content_bytes_total\{way="push",direction="sent"\} [1-9]\d*$/m,
      /^waybill_certificate_expiry_timestamp_seconds\{certificate="identity",holder="dp\/PS1DP1"\} \d{10}$/m,
      /^waybill_certificate_expiry_timestamp_seconds\{certificate="root",holder="[0-9a-f]{16}"\} \d{10}$/m,
    ]) {
      assert.match(site, line);
    }
    assert.match(dp, /^waybill_content_bytes_total\{way="push",direction="received"\} [1-9]\d*$/m);
    assert.match(dp, /^process_resident_memory_bytes [1-9]\d*$/m);
    for (const page of [site, dp]) {
      assert.doesNotMatch(page, /PS100001|admin\//);
      scanKept(page, 'metrics');
    }
  });

  it('an agent whose metrics port is taken: does not start, and says so (ADM-7)', async () => {
    const config = await readFile(network.dp('PS1DP1').configPath, 'utf8');
    const other = config.replaceAll('/PS1DP1', '/taken').replace(metricsAt.PS1DP1, metricsAt.PS1);
    await writeFiles(network.directory, { 'taken.yaml': other });
    const path = join(network.directory, 'taken.yaml');
    const { exitCode, stdout, stderr } = await runProgram(programs.waybillDp, ['--config', path]);
    assert.equal(exitCode, 1);
    assert.ok(`${stdout}${stderr}`.includes(`Address ${metricsAt.PS1} is in use`), stderr);
  });
});
