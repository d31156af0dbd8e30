import assert from 'node:assert/strict';
import { issueDevelopmentHierarchy } from '../../certs/development-hierarchy.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import {
  type PeerCredentialFiles,
  readPeerCredentials,
} from '../../shared/rpc/peer-credentials.ts';
import { RpcServer } from '../../shared/rpc/rpc-server.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { WaybillProcess } from './waybill-process.ts';

const site: PeerIdentity = { kind: 'site', siteCode: 'PS1' };
const dp: PeerIdentity = { kind: 'dp', dpId: 'PS1DP1' };
const alice: PeerIdentity = { kind: 'admin', role: 'full', name: 'alice' };
const rita: PeerIdentity = { kind: 'admin', role: 'read-only', name: 'rita' };

const answers: Partial<Conversation<'Admin'>> = {
  getSite: async () => ({ siteCode: 'PS1', kind: 'SITE_KIND_PRIMARY', agentVersion: '0.1.0' }),
  retryFailed: async () => ({ dpIds: [], packageIds: [] }),
  async *listPackages() {
    for (let count = 0; count < 20_000; count++) yield { packageId: 'PS100001' };
  },
  async *watchJobs(_request, { signal }) {
    yield { jobSerial: 17, packageId: 'PS100001', dpId: 'PS1DP1', state: 'JOB_STATE_READY' };
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
  },
};

describe('waybill against a server of its own (ROLE-4, ADM-6, SEC-1)', () => {
  let directory: TemporaryDirectory;
  let server: RpcServer;

  async function filesOf(identity: PeerIdentity, ca = 'own'): Promise<PeerCredentialFiles> {
    const request = { directory: directory.join(ca), identities: [identity] };
    const [files] = await issueDevelopmentHierarchy(request);
    return files!;
  }

  async function serve(identity: PeerIdentity, address = '127.0.0.1:0'): Promise<RpcServer> {
    const credentials = await readPeerCredentials(await filesOf(identity));
    const started = new RpcServer(
      { credentials, logger: new CapturedLog().logger, onAudit: () => {} },
      { address, siteCode: 'PS1', shutdownGraceMs: 0 },
    );
    started.serve('Admin', answers as Conversation<'Admin'>);
    await started.start();
    return started;
  }

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    server = await serve(site);
  });
  afterEach(async () => {
    await server.stop();
    await directory[Symbol.asyncDispose]();
  });

  it('asks the site and ends', async () => {
    const args = ['site', '--json', '--server', server.address];
    const { exitCode, stdout, stderr } = await new WaybillProcess(args, await filesOf(alice)).ended;
    assert.equal(stderr, '');
    assert.equal(exitCode, 0);
    assert.equal(JSON.parse(stdout).siteCode, 'PS1');
  });

  it('says when nothing listens', async () => {
    const { address } = server;
    await server.stop();
    const run = new WaybillProcess(['site', '--server', address], await filesOf(alice));
    const { exitCode, stderr } = await run.ended;
    assert.equal(exitCode, 1);
    assert.equal(
      stderr,
      `waybill: a site server at ${address} cannot be reached: nothing listens there\n`,
    );
  });

  it('says when the server has a certificate of another CA', async () => {
    const run = new WaybillProcess(
      ['site', '--server', server.address],
      await filesOf(alice, 'foreign'),
    );
    const { exitCode, stderr } = await run.ended;
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /^waybill: 127\.0\.0\.1:\d+ shows the certificate of .* CA; expected .*root was changed.*--force/,
    );
  });

  it('refuses a server that is no site server', async () => {
    const other = await serve(dp);
    const run = new WaybillProcess(['site', '--server', other.address], await filesOf(alice));
    const { exitCode, stderr } = await run.ended;
    await other.stop();
    assert.equal(exitCode, 1);
    assert.match(stderr, /shows the certificate of waybill:\/\/dp\/PS1DP1; expected a site server/);
  });

  it('is told that a certificate may not do this', async () => {
    for (const [identity, args, words] of [
      [dp, ['site'], /^waybill: waybill:\/\/\S+ may not call \S+; expected administrators/],
      [rita, ['retry'], /^waybill: you are rita, whose role is read-only; this takes an operator/],
    ] as const) {
      const run = new WaybillProcess(
        [...args, '--server', server.address],
        await filesOf(identity),
      );
      const { exitCode, stderr } = await run.ended;
      assert.equal(exitCode, 1);
      assert.match(stderr, words);
    }
  });

  it('jobs watch goes on over a restart of the site server; Ctrl-C ends it with 0', async () => {
    const { address } = server;
    const run = new WaybillProcess(
      ['jobs', 'watch', '--json', '--server', address],
      await filesOf(alice),
    );
    await run.whenWritten('stdout');
    await server.stop();
    await run.whenWritten('stderr');
    const again = run.whenWritten('stdout');
    server = await serve(site, address);
    await again;
    run.interrupt();
    const { exitCode, stdout, stderr } = await run.ended;
    assert.equal(exitCode, 0);
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).jobSerial),
      [17, 17],
    );
    assert.match(stderr, /went away; waiting for it\nwaybill: .* is back\n$/);
  });

  it('a reader that has seen enough is no failure', async () => {
    const run = new WaybillProcess(
      ['package', 'list', '--server', server.address],
      await filesOf(alice),
    );
    run.closeStdout();
    const { exitCode, stderr } = await run.ended;
    assert.equal(stderr, '');
    assert.equal(exitCode, 0);
  });
});
