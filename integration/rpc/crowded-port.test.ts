import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { status } from '@grpc/grpc-js';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import {
  encodeEnrollmentToken,
  parseEnrollmentToken,
} from '../../shared/domain/enrollment-token.ts';
import { EnrollmentChannel } from '../../shared/rpc/enrollment-channel.ts';
import { frame, frameTypes } from '../raw-http2.ts';
import { dp1, EnrollmentPort } from './enrollment-port.ts';

describe('the enrollment port, whoever crowds it (SEC-2)', () => {
  describe('of who asks again and again', () => {
    const path = '/waybill.v1.Enrollment/Renew';

    /** What calls on one connection are answered, in their order. */
    async function answersOn(port: EnrollmentPort, callCount: number): Promise<unknown[]> {
      const session = connectHttp2(`https://127.0.0.1:${port.port}`, { rejectUnauthorized: false });
      session.on('error', () => {});
      const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc' };
      const answers: unknown[] = [];
      for (let count = 0; count < callCount && !session.destroyed; count++) {
        const stream = session.request(headers);
        stream.on('error', () => {});
        for (const event of ['response', 'trailers']) {
          stream.on(event, (one) => one['grpc-status'] && answers.push(Number(one['grpc-status'])));
        }
        // An empty message.
        stream.end(Buffer.alloc(5)).resume();
        await once(stream, 'close');
      }
      session.destroy();
      return answers;
    }

    it('hears so many calls of an address a second, and reads nothing of the others', async () => {
      const calls = { perSecond: 1e-6, burst: 3 };
      await using port = await EnrollmentPort.open({ calls });
      const { INVALID_ARGUMENT: read, RESOURCE_EXHAUSTED: unread } = status;
      assert.deepEqual(await answersOn(port, 5), [read, read, read, unread, unread]);
      const refused = { code: 'RECEIVER_BUSY', message: /calls of one address a second/ };
      await assert.rejects(port.enroll(), refused);
      const { method, result, detail } = port.site.events.find(
        (one) => one.result !== 'MESSAGE_INVALID',
      )!;
      assert.deepEqual([method, result, detail], [path, 'RECEIVER_BUSY', 'too many calls']);
    });

    it('and of all addresses together', async () => {
      await using port = await EnrollmentPort.open({ callsOfAll: { perSecond: 1e-6, burst: 1 } });
      const { INVALID_ARGUMENT: read, RESOURCE_EXHAUSTED: unread } = status;
      assert.deepEqual(await answersOn(port, 2), [read, unread]);
      await assert.rejects(port.enroll(), { code: 'RECEIVER_BUSY', message: /calls a second/ });
    });

    it('ends a connection that asks more than a few times', async () => {
      await using port = await EnrollmentPort.open();
      assert.equal((await answersOn(port, 20)).length, 8);
      await port.enroll();
    });

    it('hears a whole site behind one address, as long as it may connect', async () => {
      const flow = { perSecond: 1e-6, burst: 40 };
      await using port = await EnrollmentPort.open({ newConnections: flow, calls: flow });
      for (let count = 0; count < 40; count++) assert.equal((await answersOn(port, 1)).length, 1);
    });
  });

  it('closes what is too much of one address, before TLS costs anything, and hears others', async () => {
    await using port = await EnrollmentPort.open({
      connectionsPerAddressMax: 3,
      handshakeMsMax: 60_000,
    });
    const sockets = [1, 2, 3, 4, 5].map(() => connectTcp(port.port, '127.0.0.1'));
    const closed = sockets.map((socket) => once(socket, 'close').then(() => true));
    const late = await Promise.race([Promise.any(closed), sleep(20_000, false)]);
    assert.equal(late, true);
    while (sockets.filter(({ destroyed }) => destroyed).length < 2) await sleep(10);
    assert.match(port.site.events.at(-1)?.detail ?? '', /too many connections/);
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    await port.enroll();
  });

  it('hears an honest caller while a hundred silent ones of many addresses hold on', async () => {
    await using port = await EnrollmentPort.open();
    const sockets = new Map<string, Socket>();
    let isHolding = true;
    const hold = async (localAddress: string) => {
      while (isHolding) {
        const socket = connectTcp({ port: port.port, host: '127.0.0.1', localAddress });
        sockets.set(localAddress, socket);
        socket.on('error', () => {});
        await once(socket, 'close');
        // Who is put out comes again, not at once: it is silence that is tried here, no flood.
        await sleep(100);
      }
    };
    const held = Array.from({ length: 100 }, (_, index) => hold(`127.0.1.${index + 1}`));
    const isFull = () =>
      port.site.events.some(({ detail }) => detail.includes('the oldest gave way'));
    while (!isFull()) await sleep(10);
    for (let count = 0; count < 5; count++) await port.enroll();
    isHolding = false;
    for (const socket of sockets.values()) socket.destroy();
    await Promise.all(held);
  });

  it('keeps the place of who waits for an answer, whoever comes', async () => {
    await using port = await EnrollmentPort.open({
      connectionsPerAddressMax: 1,
      firstRequestMsMax: 1_500,
    });
    const token = await port.site.token(dp1);
    const isAsked = new Promise<void>((resolve) => {
      port.site.authority.beforeIssuing = async () => {
        resolve();
        // Longer than who asks nothing has: the port counts that by the machine's clock.
        await sleep(2_000);
      };
    });
    const enrolling = port.enroll({ token });
    await isAsked;
    const other = connectTcp(port.port, '127.0.0.1');
    other.on('error', () => {});
    await once(other, 'close');
    await enrolling;
  });

  it('gives the place of who has guessed to whoever comes, though he waits for an answer again', async () => {
    await using port = await EnrollmentPort.open({ connectionsPerAddressMax: 1 });
    const token = await port.site.token(dp1);
    const { token: known } = parseEnrollmentToken(token);
    assert.ok(known);
    const wrong = encodeEnrollmentToken({ ...known, secret: new Uint8Array(16) });
    const [root = ''] = port.site.authority.roots();
    const channel = new EnrollmentChannel({ address: port.address, roots: root });
    const certificateRequest = await certificateRequestOf(await newPrivateKey());
    const ask = (text: string) => {
      const request = { token: text, identityUri: dp1, certificateRequest, address: '' };
      return channel.call('enroll', request, { deadlineMs: 60_000 });
    };
    await assert.rejects(ask(wrong), { code: 'ENROLLMENT_REFUSED' });
    let onAsked = () => {};
    const isAsked = new Promise<void>((resolve) => {
      onAsked = resolve;
    });
    port.site.authority.beforeIssuing = () => {
      onAsked();
      return new Promise(() => {});
    };
    const waiting = assert.rejects(ask(token));
    await isAsked;
    const other = connectTls({
      ...{ port: port.port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] },
    });
    await once(other, 'secureConnect');
    await waiting;
    other.destroy();
    channel.close();
  });

  it('lets one address begin so many connections a second, and others as before', async () => {
    await using port = await EnrollmentPort.open({ newConnections: { perSecond: 1, burst: 2 } });
    const close = () => once(connectTcp(port.port, '127.0.0.1').resume().end(), 'close');
    await Promise.all([close(), close(), close()]);
    assert.match(port.site.events.at(-1)?.detail ?? '', /more than 1 new connections a second/);
    const socket = connectTls({
      ...{ port: port.port, host: '127.0.0.1', localAddress: '127.0.0.2' },
      ...{ rejectUnauthorized: false, ALPNProtocols: ['h2'] },
    });
    await once(socket, 'secureConnect');
    socket.destroy();
  });

  it('ends a connection that brings no whole request, though it says something', async () => {
    await using port = await EnrollmentPort.open({ firstRequestMsMax: 300 });
    const session = connectHttp2(`https://127.0.0.1:${port.port}`, { rejectUnauthorized: false });
    session.on('error', () => {});
    const path = '/waybill.v1.Enrollment/Enroll';
    session
      .request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' })
      .on('error', () => {})
      .write(Buffer.alloc(4));
    await once(session, 'close');
  });

  it('ends a connection on which nothing happens, and each one in the end', async () => {
    await using quiet = await EnrollmentPort.open({ handshakeMsMax: 200 });
    const silent = connectTcp(quiet.port, '127.0.0.1');
    await once(silent, 'close');
    assert.match(quiet.site.events.at(-1)?.detail ?? '', /handshake took too long/);
    await using brief = await EnrollmentPort.open({ handshakeMsMax: 60_000, connectionMsMax: 200 });
    const slow = connectTcp(brief.port, '127.0.0.1');
    await once(slow, 'close');
    await using idle = await EnrollmentPort.open({ idleMsMax: 200 });
    const options = { port: idle.port, host: '127.0.0.1', rejectUnauthorized: false } as const;
    const still = connectTls({ ...options, ALPNProtocols: ['h2'] });
    still.resume();
    await once(still, 'close');
  });

  it('ends a connection that brings more than requests can be, and lets its address wait', async () => {
    const newConnections = { perSecond: 10, burst: 20 };
    await using port = await EnrollmentPort.open({ connectionBytesMax: 50_000, newConnections });
    await port.enroll();
    const options = { port: port.port, host: '127.0.0.1', rejectUnauthorized: false } as const;
    const flooding = connectTls({ ...options, ALPNProtocols: ['h2'] });
    flooding.on('error', () => {});
    flooding.resume();
    await once(flooding, 'secureConnect');
    flooding.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const priority = frame(frameTypes.priority, 0, 3, Buffer.from([0, 0, 0, 0, 200]));
    const many = Buffer.concat([frame(frameTypes.settings, 0, 0), ...Array(1_000).fill(priority)]);
    while (!flooding.destroyed) {
      flooding.write(many);
      await sleep(5);
    }
    const told = port.site.events.map(({ detail }) => detail).join();
    assert.match(told, /more than 50000 bytes on a connection/);
    await assert.rejects(port.enroll(), { code: 'PEER_UNREACHABLE' });
    // The same address is let in again after a while.
    for (;;) {
      const end = await port.enroll().catch(({ code }) => code);
      if (typeof end !== 'string') break;
      assert.equal(end, 'PEER_UNREACHABLE');
      // Only a pause between two tries: each would cost the address a connection.
      await sleep(200);
    }
  });
});
