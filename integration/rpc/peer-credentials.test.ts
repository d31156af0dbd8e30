import assert from 'node:assert/strict';
import { chmod, symlink, writeFile } from 'node:fs/promises';
import { type Flaw, issueDevelopmentHierarchy } from '../../certs/development-hierarchy.ts';
import {
  type PeerCredentialFiles,
  readPeerCredentials,
} from '../../shared/rpc/peer-credentials.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { dp, otherDp, site } from './trust-circle.ts';

async function issued(directory: string, flaw?: Flaw): Promise<PeerCredentialFiles> {
  const request = { directory, identities: [dp], ...(flaw && { flaw }) };
  const [files] = await issueDevelopmentHierarchy(request);
  return files!;
}

/** What reading says about one of the files. */
async function refusalOf(files: PeerCredentialFiles, nowMs = Date.now()): Promise<unknown> {
  const error = await readPeerCredentials(files, { nowMs }).then(
    () => assert.fail('the credentials were taken'),
    (refusal) => refusal,
  );
  assert.equal(error.code, 'CERTIFICATE_INVALID');
  return { path: error.details.path, reason: error.details.reason };
}

describe('reading our own credentials (SEC-1)', () => {
  it('gives the identity of the certificate', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    assert.deepEqual((await readPeerCredentials(files)).identity, dp);
  });

  it('refuses the certificate of another than the configuration names', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    await readPeerCredentials(files, { identity: dp });
    await assert.rejects(readPeerCredentials(files, { identity: otherDp }), {
      code: 'CERTIFICATE_INVALID',
      message: /it is the certificate of waybill:\/\/dp\/PS1DP1; expected waybill:\/\/dp\/PS1DP2$/,
    });
  });

  it('takes a CA file with several certificates, while a CA is being replaced', async () => {
    await using directory = await TemporaryDirectory.create();
    const old = await issued(directory.join('old'));
    const files = await issued(directory.join('new'));
    const caFile = directory.join('both.crt');
    const { ca } = await readPeerCredentials(old);
    await writeFile(caFile, Buffer.concat([ca, (await readPeerCredentials(files)).ca]));
    assert.deepEqual((await readPeerCredentials({ ...files, caFile })).identity, dp);
    assert.deepEqual((await readPeerCredentials({ ...old, caFile })).identity, dp);
  });

  it('refuses a key that others may read, whatever it is behind', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    const link = directory.join('link.key');
    await symlink(files.keyFile, link);
    assert.deepEqual((await readPeerCredentials({ ...files, keyFile: link })).identity, dp);
    await chmod(files.keyFile, 0o640);
    for (const keyFile of [link, files.keyFile]) {
      const reason = `others than its owner may read it (mode 0640); expected 0600: chmod 0600 ${keyFile}`;
      assert.deepEqual(await refusalOf({ ...files, keyFile }), { path: keyFile, reason });
    }
  });

  it('refuses a file that is missing', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    const keyFile = directory.join('nowhere.key');
    assert.deepEqual(await refusalOf({ ...files, keyFile }), {
      path: keyFile,
      reason: 'it cannot be read: there is no such file; expected a private key, as PEM',
    });
  });

  it('refuses what is no certificate and no key', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    const text = directory.join('text');
    await writeFile(text, 'hello');
    for (const kind of ['caFile', 'certificateFile', 'keyFile'] as const) {
      const refusal = (await refusalOf({ ...files, [kind]: text })) as { path: string };
      assert.equal(refusal.path, text);
    }
  });

  it('refuses a CA file that holds no CA', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    assert.deepEqual(await refusalOf({ ...files, caFile: files.certificateFile }), {
      path: files.certificateFile,
      reason: 'it is not the certificate of a CA',
    });
  });

  it('refuses a certificate that the CA did not sign', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.join('own'));
    const { caFile } = await issued(directory.join('foreign'));
    assert.deepEqual(await refusalOf({ ...files, caFile }), {
      path: files.certificateFile,
      reason: `it is not signed by the CA ${caFile}`,
    });
  });

  it('refuses a key of another certificate', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    const [other] = await issueDevelopmentHierarchy({
      directory: directory.path,
      identities: [site],
    });
    const keyFile = other!.keyFile;
    assert.deepEqual(await refusalOf({ ...files, keyFile }), {
      path: keyFile,
      reason: `it is not the key of the certificate ${files.certificateFile}`,
    });
  });

  for (const [flaw, reason] of [
    ['expired', /^it expired at .* UTC, and it is .* UTC by this machine's clock$/],
    ['not-yet-valid', /^it is not valid before .* UTC, and it is .* UTC by this machine's clock$/],
    ['no-identity', /^it has no Waybill identity among its URI names; expected exactly one/],
    ['two-identities', /^it has no Waybill identity among its URI names; expected exactly one/],
  ] as const) {
    it(`refuses a certificate that is ${flaw}`, async () => {
      await using directory = await TemporaryDirectory.create();
      const files = await issued(directory.path, flaw);
      const refusal = (await refusalOf(files)) as { path: string; reason: string };
      assert.equal(refusal.path, files.certificateFile);
      assert.match(refusal.reason, reason);
    });
  }

  it('refuses a CA that has expired', async () => {
    await using directory = await TemporaryDirectory.create();
    const files = await issued(directory.path);
    const inTwentyYearsMs = Date.now() + 20 * 365 * 24 * 60 * 60_000;
    const refusal = (await refusalOf(files, inTwentyYearsMs)) as { path: string };
    assert.equal(refusal.path, files.caFile);
  });
});
