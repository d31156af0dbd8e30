import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import { flags, frame, framed, frameTypes, RawHttp2 } from '../raw-http2.ts';
import {
  check,
  deadlineMs,
  isTurnedAway,
  opponents,
  overLimit,
  putManifest,
  serve,
  told,
} from './limited-server.ts';
import { client, dp, fullAdmin, otherDp, promised, site, TrustCircle } from './trust-circle.ts';

describe('how many connections and calls one caller has, and for how long (SEC-4, F18)', () => {
  it('connections and calls over the number: refused; those that are there go on', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { connectionsPerPeerMax: 2, callsPerPeerMax: 3 });
    const { raw, target, isWell } = await opponents(circle, server, otherDp);
    const [second, third] = [await RawHttp2.open(target), await RawHttp2.open(target)];
    assert.ok(await third.closed(deadlineMs));
    await told(circle, /2 connections/);
    for (let count = 0; count < 2; count++) {
      await raw.call('/waybill.v1.Content/Fetch');
      await second.call(putManifest);
    }
    await isWell();
    assert.ok(raw.isOpen && second.isOpen);
    for (const one of [raw, second]) one.socket.destroy();
  });

  it('connections over the number again and again: in the end their address pays', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, {
      connectionsPerPeerMax: 1,
      refusedConnections: { perSecond: 0.01, burst: 3 },
      failedConnections: { perSecond: 0.01, burst: 2 },
    });
    const { raw, target } = await opponents(circle, server, otherDp);
    const credentials = await circle.credentials(client);
    for (let count = 0; count < 3; count++) {
      assert.ok(await isTurnedAway(target));
      assert.ok(!(await isTurnedAway({ ...target, credentials })), 'others wait already');
    }
    for (let count = 0; count < 2; count++) assert.ok(await isTurnedAway(target));
    assert.ok(await isTurnedAway({ ...target, credentials }));
    assert.ok(raw.isOpen);
    raw.socket.destroy();
  });

  it('connections of a server over the number: refused but for sites and administrators', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { connectionsOfAllMax: 1 });
    const { raw, target, isWell } = await opponents(circle, server, otherDp);
    const second = await RawHttp2.open(target);
    assert.ok(await second.closed(deadlineMs));
    await told(circle, /1 connections in all/);
    await isWell();
    const admins = await RawHttp2.open({
      ...target,
      credentials: await circle.credentials(fullAdmin),
    });
    await admins.call(check);
    assert.ok(raw.isOpen && admins.isOpen);
    for (const one of [raw, admins]) one.socket.destroy();
  });

  it('connections of a server over the number: refused for administrators of whom its site does not hear', async () => {
    await using circle = await TrustCircle.create();
    const trust = {
      refusalOf: () => undefined,
      isVouchedHere: ({ identity }: { identity: PeerIdentity }) => identity.kind !== 'admin',
      onChange: () => () => {},
    };
    const server = await serve(circle, { connectionsOfAllMax: 1 }, { trust });
    const { raw, isWell } = await opponents(circle, server, otherDp);
    const credentials = await circle.credentials(fullAdmin);
    assert.ok(await isTurnedAway({ address: server.address, credentials }));
    await told(circle, /1 connections in all/);
    await isWell();
    raw.socket.destroy();
  });

  it('calls over the number, again and again: cost as much as others, and then the connections', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, {
      callsPerPeerMax: 1,
      calls: { perSecond: 0.01, burst: 5 },
      faults: { perSecond: 0.01, burst: 3 },
    });
    const { raw, isWell } = await opponents(circle, server, otherDp);
    await raw.call(putManifest);
    for (let count = 0; count < 12 && raw.isOpen; count++) await raw.call(putManifest);
    assert.ok(await raw.closed(deadlineMs), 'the connection is still open');
    await isWell();
  });

  it('calls over the number of an identity: refused with PEER_OVER_LIMIT, which its agent understands', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { callsPerPeerMax: 1 });
    const { channel } = await opponents(circle, server);
    const release = promised();
    const endless = async function* () {
      yield {};
      await release.promise;
    };
    const running = channel.clientStream('putManifest', endless(), {});
    await assert.rejects(
      async () => {
        // The first call may not have come yet.
        for (;;) await channel.unary('check', {}, { deadlineMs });
      },
      (error) => isErrorWithCode(error, 'PEER_OVER_LIMIT'),
    );
    release.resolve();
    await running;
  });

  it('calls and messages over the rate: wait, and are answered', async () => {
    await using circle = await TrustCircle.create();
    const calls = { perSecond: 100, burst: 5 };
    const server = await serve(circle, { calls, messages: { perSecond: 200, burst: 10 } });
    const { channel, raw } = await opponents(circle, server);
    raw.socket.destroy();
    const answers = Array.from({ length: 30 }, () => channel.unary('check', {}, { deadlineMs }));
    assert.equal((await Promise.all(answers)).length, 30);
    assert.deepEqual(overLimit(circle), []);
  });

  it('a caller that sends on after its answer: its call is reset, and the connection stays', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { afterAnswerMsMax: 50 });
    const { raw, isWell } = await opponents(circle, server, dp);
    const resets: number[] = [];
    raw.socket.on('data', (bytes: Buffer) => {
      // The last frame of what comes at once is enough here: 13 bytes of RST_STREAM.
      if (bytes.length >= 13 && bytes.readUInt8(bytes.length - 10) === frameTypes.resetStream) {
        resets.push(bytes.readUInt32BE(bytes.length - 4));
      }
    });
    const id = await raw.call(putManifest);
    while (resets.length === 0 && raw.isOpen) {
      await raw.send(id, Buffer.alloc(1_000));
      await sleep(5);
    }
    assert.deepEqual(resets, [0]);
    await isWell();
    raw.socket.destroy();
  });

  it('a connection without a call: ends after a while unless it is of a site, and is made again when it is wanted', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { idleMsMax: 100 });
    const { raw, target, channel } = await opponents(circle, server, client);
    const credentials = await circle.credentials(site);
    const ofSite = await RawHttp2.open({ ...target, credentials });
    assert.ok(await raw.closed(deadlineMs));
    assert.ok(ofSite.isOpen);
    await channel.unary('check', {}, { deadlineMs });
    ofSite.socket.destroy();
  });

  it('a connection that never speaks HTTP/2: ends', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { greetingMsMax: 100 });
    const credentials = await circle.credentials(site);
    const raw = await RawHttp2.connect({ address: server.address, credentials });
    assert.ok(await raw.closed(deadlineMs));
    await told(circle, /100 ms from the handshake to the first settings/);
  });

  it('a stream whose caller has said all: stays open however long it is silent', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { callSilenceMsMax: 50, messageStallMsMax: 50 });
    const { raw } = await opponents(circle, server);
    const watch = async (end: number) => {
      const id = await raw.call('/grpc.health.v1.Health/Watch');
      await raw.write(frame(frameTypes.data, end, id, framed(Buffer.alloc(0))));
    };
    await watch(flags.endStream);
    // Of two that are as silent only the one whose caller may still send is ended.
    await watch(0);
    await told(circle, /50 ms without a byte of a message/);
    assert.equal(overLimit(circle).length, 1);
    assert.ok(raw.isOpen);
    raw.socket.destroy();
  });
});
