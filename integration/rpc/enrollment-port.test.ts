import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import {
  ChannelCredentials,
  Client,
  type ClientOptions,
  compressionAlgorithms,
  Metadata,
  status,
} from '@grpc/grpc-js';
import {
  askingAt,
  askingWhereItIs,
  CertificateRenewal,
} from '../../shared/certificate-keeper/certificate-renewal.ts';
import { issueRoot } from '../../shared/certificates/certificate-issuing.ts';
import {
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import { writePairFile } from '../../shared/certificates/pair-file.ts';
import { makeSecretDirectory } from '../../shared/certificates/secret-files.ts';
import {
  encodeEnrollmentToken,
  parseEnrollmentToken,
} from '../../shared/domain/enrollment-token.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import { type Enrolling, enrolled } from '../../shared/enrollment/enrolling.ts';
import { IdentityPlace } from '../../shared/enrollment/identity-place.ts';
import { EnrollmentChannel } from '../../shared/rpc/enrollment-channel.ts';
import {
  EnrollmentServer,
  type EnrollmentServerConfig,
} from '../../shared/rpc/enrollment-server.ts';
import { shownCertificates } from '../../shared/rpc/shown-certificates.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { ownCredentials } from '../../site-server/admin-cli/own-renewal.ts';
import { TestAuthority } from '../../site-server/enrollment/testing/test-authority.ts';
import { TestEnrollment } from '../../site-server/enrollment/testing/test-enrollment.ts';
import { frame, frameTypes } from '../raw-http2.ts';

const dp1 = 'waybill://dp/PS1DP1';

/** The enrollment port of a site, on a real socket. */
class Port implements AsyncDisposable {
  readonly site: TestEnrollment;
  readonly server: EnrollmentServer;

  private constructor(site: TestEnrollment, server: EnrollmentServer) {
    this.site = site;
    this.server = server;
  }

  static async open(config: Partial<EnrollmentServerConfig> = {}): Promise<Port> {
    // Certificates begin at the clock of the test, and are looked at by the one of the machine.
    const site = await TestEnrollment.open({ nowMs: Date.now() });
    const key = await newPrivateKey();
    const identity = { kind: 'site', siteCode: 'PS1' } as const;
    const leaf = await site.authority.issueLeaf(identity, await certificateRequestOf(key));
    const certificate = Buffer.from(`${leaf}\n${site.authority.authorityCertificate()}\n`);
    const [root = ''] = site.authority.roots();
    const credentials = { ca: Buffer.from(root), certificate, key: Buffer.from(key), identity };
    const server = new EnrollmentServer(
      {
        ...{ credentials, roots: () => site.authority.roots() },
        answers: site.enrollment.answers(),
        onAudit: (event) => site.events.push(event),
        logger: new CapturedLog().logger,
      },
      { address: '127.0.0.1:0', ...config },
    );
    await server.start();
    return new Port(site, server);
  }

  get address(): string {
    return this.server.address;
  }

  get port(): number {
    return Number(this.address.split(':')[1]);
  }

  /** Enrolls as a new machine does. */
  async enroll(changes: Partial<Enrolling> & { identityUri?: string; nowMs?: number } = {}) {
    const { identityUri = dp1, nowMs = Date.now(), ...rest } = changes;
    const identity = fromIdentityUri(identityUri);
    assert.ok(identity);
    const key = await newPrivateKey();
    const needs = {
      ...{ clock: { nowMs: () => nowMs }, signal: new AbortController().signal },
      ...{ key: async () => key, certificateRequestOf },
    };
    const token = rest.token ?? (await this.site.token(identityUri));
    return enrolled(needs, { identity, server: this.address, address: '', ...rest, token });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    await this.site[Symbol.asyncDispose]();
  }
}

/** What a method answers to an empty request. */
function statusOf(
  port: Port,
  path: string,
  request = Buffer.alloc(0),
  options: ClientOptions = {},
): Promise<status> {
  const [root = ''] = port.site.authority.roots();
  const credentials = ChannelCredentials.createSsl(Buffer.from(root), null, null, {
    checkServerIdentity: () => undefined,
  });
  const client = new Client(port.address, credentials, {
    'grpc.ssl_target_name_override': 'localhost',
    ...options,
  });
  const bytes = (one: Buffer) => one;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, bytes, bytes, request, new Metadata(), {}, (error) => {
      client.close();
      resolve(error?.code ?? status.OK);
    });
  });
}

describe('the enrollment port (SEC-2)', () => {
  it('gives a machine that knows nothing but its token a certificate, and the root', async () => {
    await using port = await Port.open();
    const given = await port.enroll();
    const [own = '', issuer = ''] = given.certificates;
    assert.ok(new X509Certificate(own).verify(new X509Certificate(issuer).publicKey));
    const roots = port.site.authority.roots();
    assert.equal(given.root.toString().trim(), roots[0]?.trim());
    assert.deepEqual(given.identity, { kind: 'dp', dpId: 'PS1DP1' });
    assert.equal(given.place.address, 'dp1:8531');
  });

  it('shows its chain up to the root before anything is sent', async () => {
    await using port = await Port.open();
    const shown = await shownCertificates(port.address, { withinMs: 5_000 });
    const subjects = shown.map(({ subject }) => subject);
    assert.deepEqual(subjects, ['CN=site/PS1', 'CN=Waybill site authority PS1', 'CN=Waybill root']);
    assert.deepEqual(port.site.events, []);
  });

  it('is not told a token that was made for another hierarchy (wrong CA)', async () => {
    await using port = await Port.open();
    await using foreign = await TestEnrollment.open({ nowMs: Date.now() });
    const token = await foreign.token(dp1);
    await assert.rejects(port.enroll({ token }), { code: 'ENROLLMENT_ROOT_MISMATCH' });
    assert.deepEqual(port.site.events, []);
  });

  it('is not told a token of a machine that asks another site, whoever stands in its place', async () => {
    await using port = await Port.open();
    const token = await port.site.token(dp1);
    await assert.rejects(port.enroll({ token, serverSite: 'CS1' }), {
      code: 'PEER_IDENTITY_MISMATCH',
      message: /site CS1/,
    });
    assert.deepEqual(port.site.events, []);
    await port.enroll({ token, serverSite: 'PS1' });
  });

  it('is not asked by an administrator whom another site vouches for', async () => {
    await using port = await Port.open();
    await using directory = await TemporaryDirectory.create();
    const { clock, authority } = port.site;
    for (const siteCode of ['CS1', 'PS1']) {
      const other = await TestAuthority.create(clock, { siteCode, of: authority });
      const by = siteCode === 'PS1' ? authority : other;
      const key = await newPrivateKey();
      const identity = { kind: 'admin', role: 'full', name: 'bob' } as const;
      const leaf = await by.issueLeaf(identity, await certificateRequestOf(key));
      const file = directory.join(siteCode, 'agent.pem');
      await makeSecretDirectory(directory.join(siteCode));
      await writePairFile(file, { key, certificates: [leaf, by.authorityCertificate()] });
      const caFile = directory.join(siteCode, 'roots.crt');
      await writeFile(caFile, authority.roots().join('\n'));
      const files = { caFile, certificateFile: file, keyFile: file, renewalAddress: port.address };
      const signal = new AbortController().signal;
      const nowMs = () => Date.now() + 80 * 24 * 3_600_000;
      await ownCredentials(files, { clock: { ...systemClock, nowMs }, signal, tell: () => {} });
      const asked = port.site.events.map(({ method }) => method);
      assert.equal(asked.length, siteCode === 'PS1' ? 1 : 0, asked.join());
    }
  });

  it('is told nothing by a machine whose clock is wrong, which says so (F22)', async () => {
    await using port = await Port.open();
    for (const [nowMs, words] of [
      [0, /not valid before .* 1970-01-01 00:00:00 UTC by this machine's clock/],
      [Date.now() + 730 * 24 * 3_600_000, /expired at .* UTC by this machine's clock/],
    ] as const) {
      await assert.rejects(port.enroll({ nowMs }), (error: { code: string; message: string }) => {
        assert.equal(error.code, 'PEER_UNREACHABLE');
        assert.match(error.message, words);
        return true;
      });
    }
    assert.deepEqual(port.site.events, []);
  });

  it('that nobody listens on is told as such', async () => {
    const port = await Port.open();
    const { address } = port;
    const token = await port.site.token(dp1);
    await port[Symbol.asyncDispose]();
    await using other = await Port.open();
    await assert.rejects(other.enroll({ token, server: address }), {
      code: 'PEER_UNREACHABLE',
      message: /nothing listens there$/,
    });
  });

  it('tells the refusals of the site to whoever asks, in code and facts', async () => {
    await using port = await Port.open();
    const token = await port.site.token(dp1);
    await port.enroll({ token });
    await assert.rejects(port.enroll({ token }), {
      code: 'ENROLLMENT_REFUSED',
      details: { code: 'ENROLLMENT_REFUSED', holder: 'dp/PS1DP1', reason: 'used' },
    });
  });

  it('has the Enrollment conversation and nothing else: no reflection, no health', async () => {
    await using port = await Port.open();
    for (const path of [
      '/grpc.health.v1.Health/Check',
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      '/waybill.v1.Admin/GetSite',
      '/waybill.v1.SiteEnrollment/PassEnroll',
      '/waybill.v1.Enrollment/Unheard',
    ]) {
      assert.equal(await statusOf(port, path), status.UNIMPLEMENTED, path);
    }
    const refused = port.site.events.map(({ method, result }) => `${result} ${method}`);
    assert.deepEqual(refused.slice(0, 2), [
      'UNIMPLEMENTED /grpc.health.v1.Health/Check',
      'UNIMPLEMENTED /grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    ]);
    // So few that nobody can fill the audit trail with them.
    for (let count = 0; count < 5; count++) await statusOf(port, '/waybill.v1.Admin/GetSite');
    assert.equal(port.site.events.length, 5);
    assert.equal(await statusOf(port, '/waybill.v1.Enrollment/Enroll'), status.INVALID_ARGUMENT);
    // What Enrollment itself refuses is there once.
    const { method, result } = port.site.events.at(-1) ?? {};
    assert.deepEqual([method, result], ['/waybill.v1.Enrollment/Enroll', 'TOKEN_INVALID']);
    assert.equal(port.site.events.length, 6);
  });

  it('takes no request that is longer than it may be', async () => {
    await using port = await Port.open();
    const path = '/waybill.v1.Enrollment/Enroll';
    assert.equal(await statusOf(port, path, Buffer.alloc(16_385)), status.RESOURCE_EXHAUSTED);
    while (port.site.events.length === 0) await sleep(10);
    assert.deepEqual(port.site.events, [
      {
        ...{ caller: 'unauthenticated', address: '127.0.0.1', method: path },
        ...{ result: 'RESOURCE_EXHAUSTED', detail: 'refused by gRPC' },
      },
    ]);
  });

  it('takes no compressed request, and unpacks none', async () => {
    await using port = await Port.open();
    const path = '/waybill.v1.Enrollment/Enroll';
    for (const algorithm of [compressionAlgorithms.gzip, compressionAlgorithms.deflate]) {
      const options = { 'grpc.default_compression_algorithm': algorithm };
      // A mebibyte of zeros in a kilobyte.
      const bomb = Buffer.alloc(1024 * 1024);
      assert.equal(await statusOf(port, path, bomb, options), status.UNIMPLEMENTED);
      assert.equal(await statusOf(port, path, Buffer.alloc(0), options), status.UNIMPLEMENTED);
    }
    assert.deepEqual(port.site.events[0], {
      ...{ caller: 'unauthenticated', address: '127.0.0.1', method: path },
      ...{ result: 'MESSAGE_INVALID', detail: 'compressed' },
    });
    await port.enroll();
  });

  describe('of who asks again and again', () => {
    const path = '/waybill.v1.Enrollment/Renew';

    /** What calls on one connection are answered, in their order. */
    async function answersOn(port: Port, callCount: number): Promise<unknown[]> {
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
      await using port = await Port.open({ calls });
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
      await using port = await Port.open({ callsOfAll: { perSecond: 1e-6, burst: 1 } });
      const { INVALID_ARGUMENT: read, RESOURCE_EXHAUSTED: unread } = status;
      assert.deepEqual(await answersOn(port, 2), [read, unread]);
      await assert.rejects(port.enroll(), { code: 'RECEIVER_BUSY', message: /calls a second/ });
    });

    it('ends a connection that asks more than a few times', async () => {
      await using port = await Port.open();
      assert.equal((await answersOn(port, 20)).length, 8);
      await port.enroll();
    });

    it('hears a whole site behind one address, as long as it may connect', async () => {
      const flow = { perSecond: 1e-6, burst: 40 };
      await using port = await Port.open({ newConnections: flow, calls: flow });
      for (let count = 0; count < 40; count++) assert.equal((await answersOn(port, 1)).length, 1);
    });
  });

  it('speaks TLS 1.3 and nothing older', async () => {
    await using port = await Port.open();
    const options = { port: port.port, host: '127.0.0.1', rejectUnauthorized: false } as const;
    const socket = connectTls({ ...options, maxVersion: 'TLSv1.2' });
    await assert.rejects(once(socket, 'secureConnect'));
  });

  it('closes what is too much of one address, before TLS costs anything, and hears others', async () => {
    await using port = await Port.open({ connectionsPerAddressMax: 3, handshakeMsMax: 60_000 });
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
    await using port = await Port.open();
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
    await using port = await Port.open({ connectionsPerAddressMax: 1, firstRequestMsMax: 1_500 });
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
    await using port = await Port.open({ connectionsPerAddressMax: 1 });
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
    await using port = await Port.open({ newConnections: { perSecond: 1, burst: 2 } });
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
    await using port = await Port.open({ firstRequestMsMax: 300 });
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
    await using quiet = await Port.open({ handshakeMsMax: 200 });
    const silent = connectTcp(quiet.port, '127.0.0.1');
    await once(silent, 'close');
    assert.match(quiet.site.events.at(-1)?.detail ?? '', /handshake took too long/);
    await using brief = await Port.open({ handshakeMsMax: 60_000, connectionMsMax: 200 });
    const slow = connectTcp(brief.port, '127.0.0.1');
    await once(slow, 'close');
    await using idle = await Port.open({ idleMsMax: 200 });
    const options = { port: idle.port, host: '127.0.0.1', rejectUnauthorized: false } as const;
    const still = connectTls({ ...options, ALPNProtocols: ['h2'] });
    still.resume();
    await once(still, 'close');
  });

  it('ends a connection that brings more than requests can be, and lets its address wait', async () => {
    const newConnections = { perSecond: 10, burst: 20 };
    await using port = await Port.open({ connectionBytesMax: 50_000, newConnections });
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
      await sleep(200);
    }
  });

  it('answers in time, also when what it asks does not', async () => {
    await using port = await Port.open({ callMsMax: 200 });
    const token = await port.site.token(dp1);
    port.site.authority.beforeIssuing = () => new Promise(() => {});
    await assert.rejects(port.enroll({ token }), { code: 'RECEIVER_BUSY' });
  });

  it('tells nothing of a fault of its own', async () => {
    await using port = await Port.open();
    port.site.authority.beforeIssuing = async () => {
      throw new Error('the key is in /root/secret');
    };
    await assert.rejects(port.enroll(), (error: { code: string; message: string }) => {
      assert.equal(error.code, 'PEER_FAILED');
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });
});

describe('a machine that renews at the enrollment port (SEC-3, F21)', () => {
  const identity = { kind: 'dp', dpId: 'PS1DP1' } as const;
  const never = new AbortController().signal;

  /** A DP with its identity in a directory, and a port that it is told of. */
  async function enrolledDp(port: Port, directory: TemporaryDirectory) {
    const given = await port.enroll();
    const place = new IdentityPlace(directory.path, directory.join('agent.pem'));
    await place.writeCredentials(given);
    const credentials = (roots: readonly string[]) => ({
      ...{ identity, ca: Buffer.from(roots.join('\n')), key: Buffer.from(given.key) },
      certificate: Buffer.from(given.certificates.join('\n')),
    });
    return { place, credentials };
  }

  it('asks no site for the newest root alone that does not stand on it itself', async () => {
    await using directory = await TemporaryDirectory.create();
    await using port = await Port.open();
    const { place, credentials } = await enrolledDp(port, directory);
    const [old = ''] = port.site.authority.roots();
    const notBefore = new Date(Date.now() - 60_000);
    const next = await issueRoot({
      ...{ name: 'Waybill root', notBefore, notAfter: new Date(Date.now() + 86_400_000) },
    });
    const issuedCount = port.site.authority.issued.length;
    const renewing = (roots: readonly string[]) => {
      const held = credentials(roots);
      const ask = askingAt({ address: port.address, roots: () => held.ca });
      return new CertificateRenewal({ place, ask, clock: systemClock }).renew(held, never);
    };
    await assert.rejects(renewing([next.certificate, old]), {
      code: 'PEER_FAILED',
      message: /it still stands on the older root itself/,
    });
    assert.equal(port.site.authority.issued.length, issuedCount);
    await renewing([old, next.certificate]);
    assert.equal(port.site.authority.issued.length, issuedCount + 1);
  });

  it('keeps where its site says that it is, and asks there when nobody is where it was', async () => {
    await using directory = await TemporaryDirectory.create();
    await using port = await Port.open();
    const { place, credentials } = await enrolledDp(port, directory);
    const held = credentials(port.site.authority.roots());
    const renewing = (address: string) => {
      const ask = askingWhereItIs({ address, place, roots: () => held.ca, deadlineMs: 5_000 });
      return new CertificateRenewal({ place, ask, clock: systemClock }).renew(held, never);
    };
    await renewing(port.address);
    assert.equal(await place.toldRenewalAddress(), 'ps1:8532');
    await place.keepRenewalAddress(port.address);
    await port.site.clock.advance(60_000);
    await renewing('127.0.0.1:1');
    // What the site says now is newer than what it said then.
    assert.equal(await place.toldRenewalAddress(), 'ps1:8532');
    await assert.rejects(renewing('127.0.0.1:1'), /cannot be reached/);
  });
});
