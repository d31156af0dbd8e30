import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { RpcServer } from '../../shared/rpc/rpc-server.ts';
import { dp, otherDp, site, TrustCircle } from './trust-circle.ts';

const deadlineMs = 5_000;

/** A TLS client of our own, so that it can do what RpcChannel never would. */
function tlsTo(server: RpcServer, options: ConnectionOptions): TLSSocket {
  const [host, port] = server.address.split(':');
  return connect({
    host,
    port: Number(port),
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
    ...options,
  });
}

function certificateOf({ ca, certificate, key }: PeerCredentials): ConnectionOptions {
  return { ca, cert: certificate, key };
}

/** What the server does to a client that it refuses: ends the connection, with an alert or without. */
function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {});
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function served(circle: TrustCircle, credentials?: PeerCredentials): Promise<RpcServer> {
  const options = credentials ? { credentials } : {};
  return circle.serve('DistributionPoint', { check: async () => ({}) }, options);
}

describe('trust between peers (SEC-1)', () => {
  it('refuses a caller without a certificate, and writes it down', async () => {
    await using circle = await TrustCircle.create();
    const server = await served(circle);
    const { ca } = await circle.credentials(site);
    await closed(tlsTo(server, { ca }));
    assert.deepEqual(await circle.audited('tls-handshake'), {
      caller: 'unauthenticated',
      address: '127.0.0.1',
      method: 'tls-handshake',
      result: 'PEER_NOT_ALLOWED',
      detail: 'no certificate',
    });
  });

  const refusedCertificates = [
    {
      name: 'of a foreign CA',
      how: { ca: 'foreign' },
      detail: 'the certificate is not from our CA',
    },
    { name: 'that has expired', how: { flaw: 'expired' }, detail: 'the certificate has expired' },
    {
      name: 'that is not valid yet',
      how: { flaw: 'not-yet-valid' },
      detail: 'the certificate is not valid yet',
    },
  ] as const;
  for (const { name, how, detail } of refusedCertificates) {
    it(`refuses a caller with a certificate ${name}, and writes it down`, async () => {
      await using circle = await TrustCircle.create();
      const server = await served(circle);
      const { ca } = await circle.credentials(site);
      const credentials = { ...(await circle.credentials(site, how)), ca };
      const channel = await circle.channel('DistributionPoint', server.address, { credentials });
      await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
        code: 'PEER_UNREACHABLE',
        message: /as it does when it refuses our certificate$/,
      });
      const { address, detail: written } = await circle.audited('tls-handshake');
      assert.deepEqual({ address, written }, { address: '127.0.0.1', written: detail });
    });
  }

  for (const flaw of ['no-identity', 'two-identities'] as const) {
    it(`lets a caller with ${flaw} in its certificate call nothing`, async () => {
      await using circle = await TrustCircle.create();
      const server = await served(circle);
      const credentials = await circle.credentials(site, { flaw });
      const channel = await circle.channel('DistributionPoint', server.address, { credentials });
      await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
        details: {
          code: 'PEER_NOT_ALLOWED',
          caller: 'unauthenticated',
          method: '/waybill.v1.DistributionPoint/Check',
          expected: 'the site of this DP',
        },
      });
      const { caller } = await circle.audited('/waybill.v1.DistributionPoint/Check');
      assert.equal(caller, 'unauthenticated');
    });
  }

  it('speaks TLS 1.3 only, AES-128 first', async () => {
    await using circle = await TrustCircle.create();
    const server = await served(circle);
    const own = certificateOf(await circle.credentials(site));
    await closed(tlsTo(server, { ...own, maxVersion: 'TLSv1.2' }));
    assert.equal((await circle.audited('tls-handshake')).detail, 'no TLS 1.3');

    // The client would rather have another cipher; the server decides.
    const ciphers = 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';
    const socket = tlsTo(server, { ...own, ciphers });
    await once(socket, 'secureConnect');
    assert.equal(socket.getProtocol(), 'TLSv1.3');
    assert.equal(socket.getCipher().name, 'TLS_AES_128_GCM_SHA256');
    socket.destroy();
  });

  it('does not resume sessions: every connection shows its certificate anew', async () => {
    await using circle = await TrustCircle.create();
    const server = await served(circle);
    const own = certificateOf(await circle.credentials(site));
    const first = tlsTo(server, own);
    const [session] = (await once(first, 'session')) as [Buffer];
    first.destroy();
    const second = tlsTo(server, { ...own, session });
    await once(second, 'secureConnect');
    assert.equal(second.isSessionReused(), false);
    second.destroy();
  });

  it('refuses plain text', async () => {
    await using circle = await TrustCircle.create();
    const server = await served(circle);
    const [host = '', port] = server.address.split(':');
    const socket = createConnection({ host, port: Number(port) });
    socket.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await closed(socket);
    assert.equal((await circle.audited('tls-handshake')).detail, 'no TLS');
  });

  it('tells a server of the wrong name, with both names', async () => {
    await using circle = await TrustCircle.create();
    const credentials = await circle.credentials(otherDp);
    const server = await served(circle, credentials);
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      details: {
        code: 'PEER_IDENTITY_MISMATCH',
        expected: 'DP PS1DP1',
        actual: 'waybill://dp/PS1DP2',
        address: server.address,
      },
    });
  });

  it('tells a server without an identity', async () => {
    await using circle = await TrustCircle.create();
    const credentials = await circle.credentials(dp, { flaw: 'no-identity' });
    const server = await served(circle, credentials);
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), (error) =>
      isErrorWithCode(error, 'PEER_IDENTITY_MISMATCH'),
    );
  });

  it('tells a server of a foreign CA, whatever it calls itself', async () => {
    await using circle = await TrustCircle.create();
    const credentials = await circle.credentials(dp, { ca: 'foreign' });
    const server = await served(circle, credentials);
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      details: {
        code: 'PEER_IDENTITY_MISMATCH',
        expected: 'DP PS1DP1',
        actual: 'a peer of another CA',
        address: server.address,
      },
    });
  });

  it('tells a server whose certificate has expired', async () => {
    await using circle = await TrustCircle.create();
    const credentials = await circle.credentials(dp, { flaw: 'expired' });
    const server = await served(circle, credentials);
    const channel = await circle.channel('DistributionPoint', server.address);
    await assert.rejects(channel.unary('check', {}, { deadlineMs }), {
      code: 'PEER_UNREACHABLE',
      message: /its certificate has expired$/,
    });
  });
});
