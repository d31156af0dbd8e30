import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { SourceIdentity } from '../../shared/domain/pull-source.ts';
import { encodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import type { ReceivedRequestOf } from '../../shared/rpc/conversation.ts';
import { systemClock } from '../../shared/runtime/clock.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { connect, noConnectionFlags } from '../../site-server/admin-cli/connection.ts';
import { openPackageAccess } from '../../site-server/admin-cli/package-get/open-package-access.ts';
import { openSourceChannel } from '../../site-server/admin-cli/package-get/source-channel.ts';
import { aVersion } from '../../site-server/admin-cli/testing/fake-packages.ts';
import { client, dp, fullAdmin, site, TrustCircle } from './trust-circle.ts';

const bytes = Buffer.from('content');
const hash = Buffer.alloc(32, 7);
const { signal } = new AbortController();

/** What a source of one small file answers. */
const content = {
  fetch: async function* (requests: AsyncIterable<unknown>) {
    for await (const _ of requests) yield { files: { files: [{ fileHash: hash, data: bytes }] } };
  },
};

describe('a client and its sources (CLIENT-2, SEC-1)', () => {
  it('hears how much came from a source that is who the location says', async () => {
    await using circle = await TrustCircle.create();
    const { address } = await circle.serve('Content', content);
    const identity: SourceIdentity = { kind: 'dp', dpId: 'PS1DP1' };
    let receivedBytes = 0;
    const source = { identity, address, rank: 1 };
    const channel = openSourceChannel(source, await circle.credentials(client), (count) => {
      receivedBytes += count;
    });
    const call = channel.duplex('fetch', {});
    for (const _ of [1, 2]) {
      await call.write({ files: { files: [{ fileHash: hash, fileBytes: bytes.length }] } });
      assert.deepEqual((await call.read())?.files?.files[0]?.data, bytes);
    }
    call.end();
    assert.equal(await call.read(), undefined);
    channel.close();
    assert.equal(receivedBytes, 2 * bytes.length);
  });

  for (const identity of [
    { kind: 'dp', dpId: 'PS1DP2' },
    { kind: 'site', siteCode: 'PS1' },
  ] as const) {
    it(`asks nothing of ${dp.kind} PS1DP1 where it expects a ${identity.kind} of another name`, async () => {
      await using circle = await TrustCircle.create();
      const { address } = await circle.serve('Content', content);
      const credentials = await circle.credentials(client);
      const source = { identity, address, rank: 1 };
      const channel = openSourceChannel(source, credentials, () => assert.fail('Something came'));
      const call = channel.duplex('fetch', { deadlineMs: 10_000 });
      const isMismatch = (error: unknown) => isErrorWithCode(error, 'PEER_IDENTITY_MISMATCH');
      await assert.rejects(call.read(), isMismatch);
      channel.close();
    });
  }
});

describe('a client and the management point (CLIENT-1)', () => {
  it('tells its networks and takes the location', async () => {
    await using circle = await TrustCircle.create();
    const asked: ReceivedRequestOf<'ManagementPoint', 'locateContent'>[] = [];
    const server = await circle.serve(
      'ManagementPoint',
      {
        locateContent: async (request) => {
          asked.push(request);
          const source = {
            identity: 'waybill://dp/PS1DP1',
            address: 'dp1:8531',
            rank: 1,
            protocol: 'SOURCE_PROTOCOL_GRPC' as const,
          };
          const { bytes: bundle } = encodeBundle(aVersion);
          return { bundle, sources: [{ source, nearness: 'SOURCE_NEARNESS_SAME_SITE' as const }] };
        },
      },
      { credentials: await circle.credentials(site) },
    );
    const credentials = await circle.credentials(client);
    const needs = { server: server.address, credentials, clock: new FakeClock() };
    const packages = openPackageAccess(needs);
    const { version, sources } = await packages.locate('PS100001', signal);
    packages.close();
    assert.deepEqual(version, aVersion);
    assert.deepEqual(sources[0], {
      identity: dp,
      address: 'dp1:8531',
      rank: 1,
      nearness: 'same-site',
    });
    assert.equal(asked[0]?.packageId, 'PS100001');
    assert.ok(asked[0]?.clientNetworks.every((network) => /^[0-9a-f.:]+\/\d+$/i.test(network)));
    assert.ok(asked[0]?.clientNetworks.includes('127.0.0.1/8'));
  });

  it('believes nobody but a site', async () => {
    await using circle = await TrustCircle.create();
    const { address } = await circle.serve('ManagementPoint', {
      locateContent: async () => ({ bundle: encodeBundle(aVersion).bytes, sources: [] }),
    });
    const credentials = await circle.credentials(client);
    const packages = openPackageAccess({ server: address, credentials, clock: new FakeClock() });
    const isMismatch = (error: unknown) => isErrorWithCode(error, 'PEER_IDENTITY_MISMATCH');
    await assert.rejects(packages.locate('PS100001', signal), isMismatch);
    packages.close();
  });

  it('believes no other site than the one that is named', async () => {
    await using circle = await TrustCircle.create();
    // Whoever has stolen the server of PS1 may stand where CS1 is asked.
    const { address } = await circle.serve(
      'ManagementPoint',
      { locateContent: async () => ({ bundle: encodeBundle(aVersion).bytes, sources: [] }) },
      { credentials: await circle.credentials(site) },
    );
    const credentials = await circle.credentials(client);
    const needs = { server: address, credentials, clock: new FakeClock() };
    for (const [serverSite, words] of [
      ['CS1', /site CS1/],
      ['PS1', /No distribution point has/],
    ] as const) {
      const packages = openPackageAccess({ ...needs, serverSite });
      await assert.rejects(packages.locate('PS100001', signal), words);
      packages.close();
    }
  });

  it('is asked by waybill only as the site that is named', async () => {
    await using circle = await TrustCircle.create();
    await using home = await TemporaryDirectory.create();
    const server = await circle.serve(
      'Admin',
      { deletePackage: async () => assert.fail('it was asked') },
      { credentials: await circle.credentials(site) },
    );
    const { ca, certificate, key } = await circle.credentials(fullAdmin);
    const [caFile, file] = [home.join('ca.crt'), home.join('agent.pem')];
    await writeFile(caFile, ca);
    await writeSecretFile(file, `${key}\n${certificate}`);
    const flags = {
      ...noConnectionFlags,
      server: server.address,
      ca: caFile,
      cert: file,
      key: file,
    };
    const surroundings = { environment: {}, homeDirectory: home.path, signal, clock: systemClock };
    const { channel } = await connect(
      { ...flags, serverSite: 'CS1' },
      { ...surroundings, stderr: { write: () => {} } },
    );
    const call = channel.unary('deletePackage', { packageId: 'PS100001' }, { deadlineMs: 5_000 });
    await assert.rejects(call, { code: 'PEER_IDENTITY_MISMATCH', message: /site CS1/ });
    channel.close();
  });
});
