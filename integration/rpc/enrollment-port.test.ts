import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
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
  certificateRequestOf,
  newPrivateKey,
} from '../../shared/certificates/certificate-requests.ts';
import { writePairFile } from '../../shared/certificates/pair-file.ts';
import { makeSecretDirectory } from '../../shared/certificates/secret-files.ts';
import { shownCertificates } from '../../shared/rpc/shown-certificates.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { ownCredentials } from '../../site-server/admin-cli/own-renewal.ts';
import { TestAuthority } from '../../site-server/enrollment/testing/test-authority.ts';
import { TestEnrollment } from '../../site-server/enrollment/testing/test-enrollment.ts';
import { dp1, EnrollmentPort } from './enrollment-port.ts';

/** What a method answers to an empty request. */
function statusOf(
  port: EnrollmentPort,
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
    await using port = await EnrollmentPort.open();
    const given = await port.enroll();
    const [own = '', issuer = ''] = given.certificates;
    assert.ok(new X509Certificate(own).verify(new X509Certificate(issuer).publicKey));
    const roots = port.site.authority.roots();
    assert.equal(given.root.toString().trim(), roots[0]?.trim());
    assert.deepEqual(given.identity, { kind: 'dp', dpId: 'PS1DP1' });
    assert.equal(given.place.address, 'dp1:8531');
  });

  it('shows its chain up to the root before anything is sent', async () => {
    await using port = await EnrollmentPort.open();
    const shown = await shownCertificates(port.address, { withinMs: 5_000 });
    const subjects = shown.map(({ subject }) => subject);
    assert.deepEqual(subjects, ['CN=site/PS1', 'CN=Waybill site authority PS1', 'CN=Waybill root']);
    assert.deepEqual(port.site.events, []);
  });

  it('is not told a token that was made for another hierarchy (wrong CA)', async () => {
    await using port = await EnrollmentPort.open();
    await using foreign = await TestEnrollment.open({ nowMs: Date.now() });
    const token = await foreign.token(dp1);
    await assert.rejects(port.enroll({ token }), { code: 'ENROLLMENT_ROOT_MISMATCH' });
    assert.deepEqual(port.site.events, []);
  });

  it('is not told a token of a machine that asks another site, whoever stands in its place', async () => {
    await using port = await EnrollmentPort.open();
    const token = await port.site.token(dp1);
    await assert.rejects(port.enroll({ token, serverSite: 'CS1' }), {
      code: 'PEER_IDENTITY_MISMATCH',
      message: /site CS1/,
    });
    assert.deepEqual(port.site.events, []);
    await port.enroll({ token, serverSite: 'PS1' });
  });

  it('is not asked by an administrator whom another site vouches for', async () => {
    await using port = await EnrollmentPort.open();
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
    await using port = await EnrollmentPort.open();
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
    const port = await EnrollmentPort.open();
    const { address } = port;
    const token = await port.site.token(dp1);
    await port[Symbol.asyncDispose]();
    await using other = await EnrollmentPort.open();
    await assert.rejects(other.enroll({ token, server: address }), {
      code: 'PEER_UNREACHABLE',
      message: /nothing listens there$/,
    });
  });

  it('tells the refusals of the site to whoever asks, in code and facts', async () => {
    await using port = await EnrollmentPort.open();
    const token = await port.site.token(dp1);
    await port.enroll({ token });
    await assert.rejects(port.enroll({ token }), {
      code: 'ENROLLMENT_REFUSED',
      details: { code: 'ENROLLMENT_REFUSED', holder: 'dp/PS1DP1', reason: 'used' },
    });
  });

  it('has the Enrollment conversation and nothing else: no reflection, no health', async () => {
    await using port = await EnrollmentPort.open();
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
    await using port = await EnrollmentPort.open();
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
    await using port = await EnrollmentPort.open();
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

  it('speaks TLS 1.3 and nothing older', async () => {
    await using port = await EnrollmentPort.open();
    const options = { port: port.port, host: '127.0.0.1', rejectUnauthorized: false } as const;
    const socket = connectTls({ ...options, maxVersion: 'TLSv1.2' });
    await assert.rejects(once(socket, 'secureConnect'));
  });

  it('answers in time, also when what it asks does not', async () => {
    await using port = await EnrollmentPort.open({ callMsMax: 200 });
    const token = await port.site.token(dp1);
    port.site.authority.beforeIssuing = () => new Promise(() => {});
    await assert.rejects(port.enroll({ token }), { code: 'RECEIVER_BUSY' });
  });

  it('tells nothing of a fault of its own', async () => {
    await using port = await EnrollmentPort.open();
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
