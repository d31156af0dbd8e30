import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { LiveCredentials } from '../../shared/rpc/live-credentials.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { RpcServer } from '../../shared/rpc/rpc-server.ts';
import { CountingProxy } from '../counting-proxy.ts';
import { dp, promised, site, TrustCircle } from './trust-circle.ts';

const deadlineMs = 5_000;

/** The certificate that a server shows to who connects now. */
async function shownBy(server: RpcServer, caller: PeerCredentials): Promise<string> {
  const [host = '', port] = server.address.split(':');
  const { ca, certificate: cert, key } = caller;
  const options = { ca, cert, key, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
  const socket = connect({ host, port: Number(port), ...options });
  await once(socket, 'secureConnect');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

function fingerprintOf({ certificate }: PeerCredentials): string {
  return new X509Certificate(certificate).fingerprint256;
}

/** A Check that waits until the test lets it answer. */
function heldCheck() {
  const begun = promised();
  const free = promised();
  let isFirst = true;
  const check = async () => {
    if (isFirst) {
      isFirst = false;
      begun.resolve();
      await free.promise;
    }
    return { dpId: 'PS1DP1' };
  };
  return { check, begun: begun.promise, free: free.resolve };
}

describe('credentials that change while an agent runs (SEC-3, F22)', () => {
  it('a server shows the new certificate to new connections, and lets calls go on', async () => {
    await using circle = await TrustCircle.create();
    const credentials = new LiveCredentials(await circle.credentials(dp));
    const held = heldCheck();
    const server = await circle.serve('DistributionPoint', held, { credentials });
    const channel = await circle.channel('DistributionPoint', server.address);
    const running = channel.unary('check', {}, { deadlineMs });
    await held.begun;
    const caller = await circle.credentials(site);
    assert.equal(await shownBy(server, caller), fingerprintOf(credentials));

    const next = await circle.renewed(dp);
    assert.notEqual(fingerprintOf(next), fingerprintOf(credentials));
    credentials.replace(next);
    assert.equal(await shownBy(server, caller), fingerprintOf(next));
    held.free();
    assert.equal((await running).dpId, 'PS1DP1');
    await channel.unary('check', {}, { deadlineMs });
  });

  it('a server whose certificate had expired is reached once it has another', async () => {
    await using circle = await TrustCircle.create();
    const credentials = new LiveCredentials(await circle.credentials(dp, { flaw: 'expired' }));
    const answers = { check: async () => ({}) };
    const server = await circle.serve('DistributionPoint', answers, { credentials });
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      message: /its certificate has expired$/,
    });
    credentials.replace(await circle.credentials(dp));
    await channel.whenReachable();
    await channel.unary('check', {}, { deadlineMs });
  });

  it('a server takes callers of the roots that it trusts now', async () => {
    await using circle = await TrustCircle.create();
    const own = await circle.credentials(dp);
    const credentials = new LiveCredentials(own);
    const answers = { check: async () => ({}) };
    const server = await circle.serve('DistributionPoint', answers, { credentials });
    const foreign = await circle.credentials(site, { ca: 'foreign' });
    const caller = { ...foreign, ca: own.ca };
    const before = await circle.channel('DistributionPoint', server.address, {
      credentials: caller,
    });
    await assert.rejects(before.unary('check', {}, { deadlineMs }), (error) =>
      isErrorWithCode(error, 'PEER_UNREACHABLE'),
    );
    credentials.replace({ ...own, ca: Buffer.concat([own.ca, foreign.ca]) });
    const after = await circle.channel('DistributionPoint', server.address, {
      credentials: caller,
    });
    await after.unary('check', {}, { deadlineMs });
    credentials.replace(own);
    const again = await circle.channel('DistributionPoint', server.address, {
      credentials: caller,
    });
    await assert.rejects(again.unary('check', {}, { deadlineMs }), (error) =>
      isErrorWithCode(error, 'PEER_UNREACHABLE'),
    );
  });

  it('a channel makes its next call by a new connection, and lets the running one end', async () => {
    await using circle = await TrustCircle.create();
    const held = heldCheck();
    const server = await circle.serve('DistributionPoint', held);
    await using proxy = await CountingProxy.start(server.address);
    const credentials = new LiveCredentials(await circle.credentials(site));
    const channel = await circle.channel('DistributionPoint', proxy.address, { credentials });
    const running = channel.unary('check', {}, { deadlineMs });
    await held.begun;
    credentials.replace(await circle.renewed(site));
    assert.equal(proxy.connectionCount, 1);
    await channel.unary('check', {}, { deadlineMs });
    assert.equal(proxy.connectionCount, 2);
    held.free();
    assert.equal((await running).dpId, 'PS1DP1');
    await proxy.whenConnections(1);
    await channel.unary('check', {}, { deadlineMs });
    assert.equal(proxy.connectionCount, 1);
  });

  it('a call that waits for its connection when they change is not lost', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', { check: async () => ({}) });
    const credentials = new LiveCredentials(await circle.credentials(site));
    const channel = await circle.channel('DistributionPoint', server.address, { credentials });
    const waiting = channel.unary('check', {}, { deadlineMs });
    credentials.replace(await circle.renewed(site));
    await Promise.all([waiting, channel.unary('check', {}, { deadlineMs })]);
  });

  it('a channel that was refused for its certificate is not, once it has another', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', { check: async () => ({}) });
    const expired = await circle.credentials(site, { flaw: 'expired' });
    const credentials = new LiveCredentials(expired);
    const channel = await circle.channel('DistributionPoint', server.address, { credentials });
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), (error) =>
      isErrorWithCode(error, 'PEER_UNREACHABLE'),
    );
    credentials.replace(await circle.credentials(site));
    await channel.unary('check', {}, { deadlineMs });
  });

  it('are never those of somebody else', async () => {
    await using circle = await TrustCircle.create();
    const credentials = new LiveCredentials(await circle.credentials(site));
    const other = await circle.credentials(dp);
    assert.throws(() => credentials.replace(other), /waybill:\/\/site\/PS1 .* waybill:\/\/dp/);
    assert.deepEqual(credentials.identity, site);
  });
});
