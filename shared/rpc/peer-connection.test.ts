import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { connectivityState } from '@grpc/grpc-js';
import {
  type IssuedCertificate,
  issueLeafWithKey,
  issueRoot,
} from '../certificates/certificate-issuing.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import { defaultConnectPace } from './connect-pace.ts';
import { gateTo } from './listener-gate.ts';
import { LiveCredentials } from './live-credentials.ts';
import { PeerConnection } from './peer-connection.ts';
import type { PeerCredentials } from './peer-credentials.ts';

const hourMs = 3_600_000;
const validity = {
  notBefore: new Date(Date.now() - hourMs),
  notAfter: new Date(Date.now() + hourMs),
};

describe('a connection to a peer that is waited for', () => {
  let root: IssuedCertificate;
  let server: Http2SecureServer;
  let connection: PeerConnection;
  let credentials: LiveCredentials;
  let handshakeCount: number;
  /** When the server ends the connection of whoever has shown a certificate. */
  let turnsAway: 'before HTTP/2' | 'after HTTP/2' | 'never';
  let over: AbortController;
  let paused: WakeSignal;

  const leaf = async (dpId: string, { notAfter } = validity) => {
    const uris = [`waybill://dp/${dpId}`];
    const { certificate, key } = await issueLeafWithKey(root, {
      ...{ commonName: dpId, uris, ...validity, notAfter },
    });
    return { cert: certificate, key };
  };

  async function listen(dpId: string, port = 0): Promise<number> {
    const options = { ...(await leaf(dpId)), ca: root.certificate, requestCert: true } as const;
    const SNICallback = (_name: string, go: (error: null) => void) => {
      handshakeCount += 1;
      go(null);
    };
    server = createSecureServer({ ...options, minVersion: 'TLSv1.3', SNICallback });
    server.on('sessionError', () => {});
    gateTo(server, 'secureConnection', (pass, socket: TLSSocket) => {
      if (turnsAway !== 'before HTTP/2') pass();
      if (turnsAway !== 'never') socket.destroy();
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function newCredentials(life = validity): Promise<PeerCredentials> {
    const { cert, key } = await leaf('PS1DP3', life);
    return {
      ...{ ca: Buffer.from(root.certificate), certificate: Buffer.from(cert) },
      ...{ key: Buffer.from(key), identity: { kind: 'dp', dpId: 'PS1DP3' } },
    };
  }

  /** Whose pauses last an hour. */
  async function connect(port: number, patienceMs: number, life = validity): Promise<void> {
    credentials = new LiveCredentials(await newCredentials(life));
    connection = new PeerConnection({
      address: `127.0.0.1:${port}`,
      expected: (peer) => peer.kind === 'dp' && peer.dpId === 'PS1DP1',
      expectedText: 'distribution point PS1DP1',
      credentials,
      pace: { patienceMs, pauseMs: hourMs, awayPauseMsMax: hourMs, refusedPauseMsMax: hourMs },
      random: () => {
        paused.wake();
        return 1;
      },
    });
  }

  /** The pause of whoever waits has begun, and nobody tries meanwhile: gRPC by itself would, for ever. */
  async function pauseBegun(): Promise<void> {
    await paused.wait(over.signal);
    await setImmediate();
    assert.equal(connection.client().state(), connectivityState.IDLE);
  }

  beforeEach(async () => {
    root = await issueRoot({ name: 'Test CA', ...validity });
    handshakeCount = 0;
    turnsAway = 'never';
    over = new AbortController();
    paused = new WakeSignal();
  });
  afterEach(() => {
    over.abort();
    connection.close();
    server.close();
  });

  it('is not tried again and again when another certificate is shown, and is found by whoever tries', async () => {
    const port = await listen('PS1DP2');
    await connect(port, defaultConnectPace.patienceMs);
    const connected = connection.whenReady(over.signal);
    await pauseBegun();
    assert.equal(handshakeCount, 1);
    server.setSecureContext({ ...(await leaf('PS1DP1')), ca: root.certificate });
    assert.equal(await connection.isReadyInTime(over.signal), true);
    // Who would have waited for an hour has it, too.
    await connected;
    assert.equal(handshakeCount, 2);
  });

  for (const when of ['before HTTP/2', 'after HTTP/2'] as const) {
    it(`is not tried again and again when it turns us away ${when} has begun, and is found by whoever tries`, async () => {
      turnsAway = when;
      await connect(await listen('PS1DP1'), defaultConnectPace.patienceMs);
      const connected = connection.whenReady(over.signal);
      await pauseBegun();
      assert.equal(handshakeCount, 1);
      turnsAway = 'never';
      assert.equal(await connection.isReadyInTime(over.signal), true);
      await connected;
      assert.equal(handshakeCount, 2);
    });
  }

  it('is tried at once when we have another certificate than the one it has refused', async () => {
    const expired = { ...validity, notAfter: new Date(Date.now() - 1_000) };
    await connect(await listen('PS1DP1'), defaultConnectPace.patienceMs, expired);
    const connected = connection.whenReady(over.signal);
    await pauseBegun();
    credentials.replace(await newCredentials());
    await connected;
    assert.equal(handshakeCount, 2);
  });

  it('is tried less often when nobody has been there for long', async () => {
    const port = await listen('PS1DP1');
    server.close();
    await connect(port, 0);
    const waits = [connection.whenReady(over.signal), connection.whenReady(over.signal)];
    await pauseBegun();
    await listen('PS1DP1', port);
    assert.equal(await connection.isReadyInTime(over.signal), true);
    await Promise.all(waits);
  });

  it('is waited for no more once the wait is given up, in a pause too', async () => {
    await connect(await listen('PS1DP2'), 0);
    const waiting = connection.whenReady(over.signal);
    await pauseBegun();
    over.abort();
    await assert.rejects(waiting, isAbortError);
    const other = connection.whenReady();
    connection.close();
    await assert.rejects(other, isAbortError);
  });
});
