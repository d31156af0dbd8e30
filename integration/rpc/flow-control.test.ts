import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import {
  frameBytesMax,
  metadataBytesMax,
  receiveWindowBytes,
  streamsMax,
} from '../../shared/rpc/rpc-limits.ts';
import type { RpcServer } from '../../shared/rpc/rpc-server.ts';
import { encodeMessage } from '../../shared/rpc/service-definitions.ts';
import { promised, site, TrustCircle } from './trust-circle.ts';

const mib = 1024 * 1024;
const chunk = encodeMessage('DistributionPoint', 'putManifest', { chunk: Buffer.alloc(mib) });

/**
 * Where a count stands still: whole calls go to the peer and back, on the same connection and by
 * the dozen, and it does not move.
 */
async function standstillOf(
  count: () => number,
  channel: RpcChannel<'DistributionPoint'>,
): Promise<number> {
  let before = count();
  for (let stillCount = 0; stillCount < 60; stillCount++) {
    await channel.unary('check', {}, { deadlineMs: 30_000 });
    if (count() === before) continue;
    before = count();
    stillCount = 0;
  }
  return before;
}

/** What a client sees of a server's HTTP/2 limits, after a ping that comes back behind them. */
async function limitsOf(server: RpcServer, { ca, certificate, key }: PeerCredentials) {
  const session = http2Connect(`https://${server.address}`, { ca, cert: certificate, key });
  await once(session, 'remoteSettings');
  await new Promise((resolve) => session.ping(resolve));
  const { remoteSettings, state } = session;
  session.destroy();
  return { ...remoteSettings, connectionWindowBytes: state.remoteWindowSize };
}

describe('flow control', () => {
  it('opens the windows of a server, for streams and for connections, and limits the rest', async () => {
    await using circle = await TrustCircle.create();
    const server = await circle.serve('DistributionPoint', { check: async () => ({}) });
    const limits = await limitsOf(server, await circle.credentials(site));
    assert.equal(limits.initialWindowSize, receiveWindowBytes);
    assert.equal(limits.connectionWindowBytes, receiveWindowBytes);
    assert.equal(limits.maxFrameSize, frameBytesMax);
    assert.equal(limits.maxConcurrentStreams, streamsMax);
    assert.equal(limits.maxHeaderListSize, metadataBytesMax);
  });

  it('lets a caller put the window of 16 MiB in flight, and no more, before it is read', async () => {
    await using circle = await TrustCircle.create();
    const release = promised();
    let readCount = 0;
    const server = await circle.serve('DistributionPoint', {
      check: async () => ({}),
      putManifest: async (requests) => {
        await release.promise;
        for await (const _request of requests) readCount++;
        return {};
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    await channel.whenReachable();
    let sentCount = 0;
    let isEnough = false;
    const chunks = async function* () {
      while (!isEnough) {
        yield chunk;
        sentCount++;
      }
    };
    const answer = channel.clientStream('putManifest', chunks(), {});
    // With the 64 KiB that grpc-js gives a server by itself this is 0.
    const inFlightCount = await standstillOf(() => sentCount, channel);
    assert.ok(inFlightCount >= 15 && inFlightCount <= 18, `${inFlightCount} MiB in flight`);
    assert.equal(readCount, 0);

    isEnough = true;
    release.resolve();
    await answer;
    assert.ok(readCount > inFlightCount);
  });

  it('keeps a stream that nobody reads from holding up others on the connection', async () => {
    await using circle = await TrustCircle.create();
    const release = promised();
    const server = await circle.serve('DistributionPoint', {
      check: async () => ({}),
      putManifest: async () => {
        await release.promise;
        return {};
      },
      putContent: async function* (requests) {
        for await (const _request of requests) yield {};
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    await channel.whenReachable();
    let sentCount = 0;
    const endless = async function* () {
      for (;;) {
        yield chunk;
        sentCount++;
      }
    };
    const answer = channel.clientStream('putManifest', endless(), {});
    await standstillOf(() => sentCount, channel);
    const call = channel.duplex('putContent', {});
    const piece = { piece: { data: Buffer.alloc(mib) } };
    for (let count = 0; count < 20; count++) {
      await call.write(piece);
      assert.deepEqual(await call.read(), {});
    }
    call.end();
    release.resolve();
    await answer;
  });

  it('lets a server put the window of 32 MiB in flight, and not much more', async () => {
    await using circle = await TrustCircle.create();
    let answeredCount = 0;
    const server = await circle.serve('DistributionPoint', {
      check: async () => ({}),
      inspect: async function* () {
        for (;;) {
          yield { files: [{ piecesHeld: Buffer.alloc(mib) }] };
          answeredCount++;
        }
      },
    });
    const channel = await circle.channel('DistributionPoint', server.address);
    const parts = channel.serverStream('inspect', {}, {});
    await parts.next();
    // The window, what the server keeps ready, and what the caller's stream reads ahead.
    const inFlightCount = await standstillOf(() => answeredCount, channel);
    assert.ok(inFlightCount >= 31 && inFlightCount <= 56, `${inFlightCount} MiB in flight`);
    await parts.return();
  });
});
