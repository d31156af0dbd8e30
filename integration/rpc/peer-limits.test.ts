import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PeerIdentity } from '../../shared/domain/peer-identity.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import { defaultPeerLimits } from '../../shared/rpc/peer-limits.ts';
import { gigabyteBomb } from '../hostile-peer.ts';
import { frame, framed, frameTypes, RawHttp2 } from '../raw-http2.ts';
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
import { credentialsBy, newRoot, newSiteAuthority } from './site-authorities.ts';
import { client, dp, otherDp, promised, TrustCircle } from './trust-circle.ts';

describe('what one caller may take of a server (SEC-4, F18)', () => {
  it('a bomb of 1 GiB that says it is gzip: refused before a byte of it is read, and written down', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, {});
    const { raw, isWell } = await opponents(circle, server);
    const before = process.memoryUsage().rss;
    const id = await raw.call(putManifest, { 'grpc-encoding': 'gzip' });
    await raw.send(id, framed(gigabyteBomb(), { flag: 1 }));
    await isWell();
    const event = await circle.audited(putManifest);
    assert.equal(event.result, 'MESSAGE_INVALID');
    assert.match(event.detail, /grpc-encoding: expected identity, got gzip/);
    // The process is that of the attacker too: nothing near a gibibyte came to be.
    assert.ok(process.memoryUsage().rss - before < 256 * 1024 * 1024);
    raw.socket.destroy();
  });

  it('a compressed message that was not announced: its call ends, others go on', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, {});
    const { raw, isWell } = await opponents(circle, server);
    await raw.send(await raw.call(putManifest), framed(gigabyteBomb(), { flag: 1 }));
    await told(circle, /a compressed message, which is not announced/);
    await isWell();
    assert.ok(raw.isOpen);
    raw.socket.destroy();
  });

  it('a message in crumbs, and one that stops half way: their calls end', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { messagePartsMax: 100, messageStallMsMax: 200 });
    const { raw, isWell } = await opponents(circle, server);
    const begun = framed(Buffer.alloc(500), { length: 100_000 });
    await raw.send(await raw.call(putManifest), begun, 2);
    await told(circle, /100 parts of a message/);
    await raw.send(await raw.call(putManifest), begun);
    await told(circle, /200 ms without a byte of a message/);
    await isWell();
    raw.socket.destroy();
  });

  it('a call that brings no message: it ends; a stream may wait', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { messageStallMsMax: 100, callSilenceMsMax: 2_000 });
    const { raw, isWell } = await opponents(circle, server);
    await raw.call(check);
    await told(circle, /100 ms without a byte of a message/);
    await raw.call(putManifest);
    await told(circle, /2000 ms of silence/);
    await isWell();
    raw.socket.destroy();
  });

  it('frames without end that are no messages: the connection ends, and who comes back at once is turned away', async () => {
    await using circle = await TrustCircle.create();
    const overheadBytes = { perSecond: 10_000, burst: 50_000 };
    const server = await serve(circle, { overheadBytes });
    const { raw, target, isWell } = await opponents(circle, server, client);
    const priority = frame(frameTypes.priority, 0, 3, Buffer.from([0, 0, 0, 0, 200]));
    const many = Buffer.concat(Array<Buffer>(1_000).fill(priority));
    while (raw.isOpen) {
      await raw.write(many);
      await sleep(1);
    }
    await told(circle, /10000 bytes a second that are no messages/);
    assert.ok(circle.audit.every(({ caller }) => caller === 'waybill://client/pc1'));
    assert.ok(await isTurnedAway(target));
    await isWell();
    // It is let in again when there is something left.
    while (await isTurnedAway(target)) await sleep(50);
  });

  it('frames for a call that was ended for what it did: count as no messages, also of a site', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { messagePartsMax: 100 });
    const { raw } = await opponents(circle, server);
    const id = await raw.call(putManifest);
    await raw.send(id, framed(Buffer.alloc(200), { length: 100_000 }), 1);
    const crumb = frame(frameTypes.data, 0, id, Buffer.of(0));
    const crumbs = Buffer.concat(Array<Buffer>(1_000).fill(crumb));
    // Far less than what may be on its way of a call of an honest site.
    for (let count = 0; count < 400 && raw.isOpen; count++) await raw.write(crumbs);
    assert.ok(await raw.closed(deadlineMs), 'the connection is still open');
    await told(circle, /bytes a second that are no messages/);
  });

  const breaches = {
    'messages longer than can be': async (raw: RawHttp2) =>
      raw.send(await raw.call(putManifest), framed(Buffer.alloc(10), { length: 0xffffffff })),
    'compressed messages': async (raw: RawHttp2) =>
      raw.send(await raw.call(putManifest), framed(Buffer.alloc(10), { flag: 1 })),
    'calls that say they are compressed': async (raw: RawHttp2) => {
      await raw.call(putManifest, { 'grpc-encoding': 'gzip' });
    },
  };
  for (const [name, breach] of Object.entries(breaches)) {
    it(`${name}, again and again: all connections of their sender end, and it waits`, async () => {
      await using circle = await TrustCircle.create();
      const server = await serve(circle, { faults: { perSecond: 2, burst: 3 } });
      const { raw, target } = await opponents(circle, server);
      const second = await RawHttp2.open(target);
      for (let count = 0; count < 3; count++) await breach(raw);
      assert.ok((await raw.closed(deadlineMs)) && (await second.closed(deadlineMs)));
      await told(circle, /3 breaches of what is agreed/);
      const credentials = await circle.credentials(client);
      assert.ok(!(await isTurnedAway({ ...target, credentials })));
      while (await isTurnedAway(target)) await sleep(50);
    });
  }

  it('a connection that HTTP/2 itself ends, again and again: its caller waits', async () => {
    await using circle = await TrustCircle.create();
    const server = await serve(circle, { faults: { perSecond: 0.01, burst: 3 } });
    const { raw, target, isWell } = await opponents(circle, server, client);
    raw.socket.destroy();
    for (let count = 0; count < 3; count++) {
      const one = await RawHttp2.open(target);
      const more = frame(frameTypes.continuation, 0, 1, Buffer.alloc(10));
      const beginning = frame(frameTypes.headers, 0, 1, Buffer.alloc(10));
      await one.write(beginning, ...Array<Buffer>(20).fill(more));
      assert.ok(await one.closed(deadlineMs));
    }
    assert.ok(await isTurnedAway(target));
    await isWell();
  });

  it('a site that is cut off while it brings content: may come back at once', async () => {
    await using circle = await TrustCircle.create();
    const release = promised();
    const server = await circle.serve(
      'DistributionPoint',
      { check: async () => ({}), putManifest: () => release.promise.then(() => ({})) },
      { peerLimits: { ...defaultPeerLimits, lookMs: 20 } },
    );
    const { raw, target } = await opponents(circle, server);
    const ids = await Promise.all([raw.call(putManifest), raw.call(putManifest)]);
    for (let count = 0; count < 4; count++) {
      for (const id of ids) await raw.send(id, framed(Buffer.alloc(1_000_000)));
    }
    raw.socket.destroy();
    assert.ok(!(await isTurnedAway(target)));
    assert.deepEqual(overLimit(circle), []);
    release.resolve(undefined);
  });

  it('who has the same name by another authority: pays for himself alone', async () => {
    await using circle = await TrustCircle.create();
    const ca = await newRoot();
    const [ps1, ps2] = [await newSiteAuthority(ca, 'PS1'), await newSiteAuthority(ca, 'PS2')];
    const credentials = await credentialsBy(ca, ps1, { kind: 'site', siteCode: 'PS1' });
    const faults = { perSecond: 0.01, burst: 3 };
    const server = await serve(circle, { faults }, { credentials });
    const identity = { kind: 'dp', dpId: 'PS1DP1' } as const;
    const targetBy = async (authority: typeof ps1) => ({
      address: server.address,
      credentials: await credentialsBy(ca, authority, identity),
    });
    const [real, other] = [await targetBy(ps1), await targetBy(ps2)];
    using held = await RawHttp2.open(real);
    using raw = await RawHttp2.open(other);
    for (let count = 0; count < 3; count++) {
      await raw.call(putManifest, { 'grpc-encoding': 'gzip' });
    }
    assert.ok(await raw.closed(deadlineMs));
    assert.ok(await isTurnedAway(other));
    assert.ok(held.isOpen && !(await isTurnedAway(real)));
  });

  it('who shows a certificate that counts for nothing: costs its real holder nothing', async () => {
    await using circle = await TrustCircle.create();
    const ca = await newRoot();
    const hourMs = 3_600_000;
    const [revokedAtMs, longAgoMs] = [Date.now() - hourMs, Date.now() - 2 * hourMs];
    const authority = await newSiteAuthority(ca, 'PS1', { notBeforeMs: longAgoMs });
    const credentials = await credentialsBy(ca, authority, { kind: 'site', siteCode: 'PS1' });
    const trust = {
      refusalOf: ({ notBeforeMs }: { notBeforeMs: number }) =>
        notBeforeMs < revokedAtMs ? 'it was revoked' : undefined,
      isVouchedHere: () => true,
      onChange: () => () => {},
    };
    // A single frame is too much.
    const limits = {
      overheadBytes: { perSecond: 1, burst: 100 },
      faults: { perSecond: 0.01, burst: 1 },
    };
    const server = await serve(circle, limits, { credentials, trust });
    const targetFrom = async (notBeforeMs: number) => ({
      address: server.address,
      credentials: await credentialsBy(ca, authority, client, { notBeforeMs }),
    });
    const [stolen, real] = [await targetFrom(longAgoMs), await targetFrom(Date.now() - 60_000)];
    for (let count = 0; count < 5; count++) {
      using raw = await RawHttp2.open(stolen);
      await raw.write(frame(frameTypes.ping, 0, 0, Buffer.alloc(200)));
      assert.ok(await raw.closed(deadlineMs));
    }
    assert.ok(!(await isTurnedAway(real)));
  });

  it('revoked ones of the same router: each is turned away often before their address pays', async () => {
    await using circle = await TrustCircle.create();
    const trust = {
      refusalOf: ({ identity }: { identity: PeerIdentity }) =>
        identity.kind === 'dp' ? 'it was revoked' : undefined,
      isVouchedHere: () => true,
      onChange: () => () => {},
    };
    const limits = {
      refusedConnections: { perSecond: 0.01, burst: 3 },
      failedConnections: { perSecond: 0.01, burst: 2 },
    };
    const { address } = await serve(circle, limits, { trust });
    const targetOf = async (identity: PeerIdentity) => ({
      ...{ address, credentials: await circle.credentials(identity) },
    });
    const [revoked, others] = [await targetOf(dp), await targetOf(otherDp)];
    const sound = await targetOf(client);
    for (let count = 0; count < 3; count++) {
      assert.ok(await isTurnedAway(revoked));
      assert.ok(await isTurnedAway(others));
    }
    assert.ok(!(await isTurnedAway(sound)));
    for (let count = 0; count < 2; count++) assert.ok(await isTurnedAway(revoked));
    assert.ok(await isTurnedAway(sound));
  });

  it('messages that nobody takes: all connections of their sender end', async () => {
    await using circle = await TrustCircle.create();
    const release = promised();
    const server = await circle.serve(
      'DistributionPoint',
      {
        check: async () => ({}),
        putManifest: async () => {
          await release.promise;
          return {};
        },
      },
      { peerLimits: { ...defaultPeerLimits, lookMs: 20, heldBytesOfSiteMax: 4 * 1024 * 1024 } },
    );
    const { raw } = await opponents(circle, server);
    const id = await raw.call(putManifest);
    await raw.send(id, framed(Buffer.alloc(1_000_000)));
    for (let count = 0; count < 12 && raw.isOpen; count++) {
      await raw.send(id, framed(Buffer.alloc(1_000_000)));
    }
    assert.ok(await raw.closed(deadlineMs), 'the connection is still open');
    await told(circle, /bytes of messages that no method has taken/);
    release.resolve();
  });

  it('messages that wait behind one that was taken: they count until they are taken, too', async () => {
    await using circle = await TrustCircle.create();
    const release = promised();
    let takenCount = 0;
    const server = await circle.serve(
      'DistributionPoint',
      {
        check: async () => ({}),
        putManifest: async (requests) => {
          for await (const _ of requests) {
            takenCount += 1;
            await release.promise;
          }
          return {};
        },
      },
      { peerLimits: { ...defaultPeerLimits, lookMs: 20, heldBytesOfSiteMax: 4 * 1024 * 1024 } },
    );
    const { raw, isWell } = await opponents(circle, server);
    // One that is taken, one that gRPC reads ahead: neither HTTP/2 nor the decoder has anything of these.
    for (let count = 1; count <= 10 && raw.isOpen; count++) {
      const id = await raw.call(putManifest);
      for (let each = 0; each < 2; each++) await raw.send(id, framed(Buffer.alloc(500_000)));
      if (count <= 4) await isWell();
    }
    assert.ok(await raw.closed(deadlineMs), 'the connection is still open');
    await told(circle, /bytes of messages that no method has taken/);
    assert.ok(takenCount >= 4, `${takenCount} were taken`);
    release.resolve();
  });

  it('the only message of a call that does not end: it counts, and its call ends', async () => {
    await using circle = await TrustCircle.create();
    const limits = { heldBytesOfSiteMax: 4 * 1024 * 1024, messageStallMsMax: 300 };
    const server = await serve(circle, limits);
    const { raw, target } = await opponents(circle, server);
    await raw.send(await raw.call(check), framed(Buffer.alloc(500_000)));
    await told(circle, /300 ms without a byte of a message/);
    assert.ok(raw.isOpen);
    using crowd = await RawHttp2.open(target);
    for (let count = 0; count < 30 && crowd.isOpen; count++) {
      await crowd.send(await crowd.call(check), framed(Buffer.alloc(500_000)));
    }
    assert.ok(await crowd.closed(deadlineMs), 'the connection is still open');
    await told(circle, /bytes of messages that no method has taken/);
  });

  it('messages of a crowd that nobody takes: who holds most ends, others and a site go on', async () => {
    await using circle = await TrustCircle.create();
    const release = promised();
    const server = await circle.newServer({
      peerLimits: { ...defaultPeerLimits, lookMs: 20, heldBytesOfAllOthersMax: 1_000_000 },
    });
    const putManifestOnce = async () => {
      await release.promise;
      return {};
    };
    const answers = { check: async () => ({}), putManifest: putManifestOnce };
    server.serve('DistributionPoint', answers as unknown as Conversation<'DistributionPoint'>);
    const fetch = async function* () {
      await release.promise;
      yield* [];
    };
    server.serve('Content', { fetch } as unknown as Conversation<'Content'>);
    await server.start();
    const { raw, isWell } = await opponents(circle, server);
    const credentials = await circle.credentials(otherDp);
    using other = await RawHttp2.open({ address: server.address, credentials });
    const ofThird = await circle.credentials(dp);
    using third = await RawHttp2.open({ address: server.address, credentials: ofThird });
    await third.send(await third.call('/waybill.v1.Content/Fetch'), framed(Buffer.alloc(60_000)));
    const id = await raw.call(putManifest);
    for (let count = 0; count < 3; count++) await raw.send(id, framed(Buffer.alloc(1_000_000)));
    await isWell();
    for (let count = 0; count < 40 && other.isOpen; count++) {
      await other.send(await other.call('/waybill.v1.Content/Fetch'), framed(Buffer.alloc(60_000)));
    }
    assert.ok(await other.closed(deadlineMs), 'the connection is still open');
    await told(circle, /bytes of messages of all its kind that no method has taken/);
    assert.ok(raw.isOpen);
    assert.ok(third.isOpen);
    await isWell();
    raw.socket.destroy();
    release.resolve();
  });
});
