import assert from 'node:assert/strict';
import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import {
  newPrivateKey,
  publicKeyInfoOf,
  readCertificateRequest,
} from '../certificates/certificate-requests.ts';
import { writePairFile } from '../certificates/pair-file.ts';
import { writeSecretFile } from '../certificates/secret-files.ts';
import { rootsFileText } from '../certificates/trusted-roots.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { renewalProofOf } from '../rpc/renewal-proof.ts';
import { ownIdentity } from './own-identity.ts';
import { aheadMs, dayMs, never, RenewalTest, TestHierarchy } from './testing/renewal-test.ts';

describe('renewing by the old key (SEC-3, F22)', () => {
  it('asks with a new key and the old one’s signature, and replaces all in one file', async () => {
    await using test = await RenewalTest.create();
    const before = await test.read();
    await test.clock.advance(70 * dayMs);
    await test.renew();
    const [request] = test.requests;
    const [own] = [new X509Certificate(before.certificate)];
    assert.deepEqual(request?.certificate, own.raw);
    const proof = renewalProofOf(request?.certificateRequest as Buffer);
    assert.ok(verify('sha256', proof, own.publicKey, request?.signature as Buffer));
    const after = await test.read();
    const [next] = [new X509Certificate(after.certificate)];
    assert.ok(!next.publicKey.equals(own.publicKey));
    assert.ok(next.publicKey.equals(createPublicKey(after.key)));
    assert.deepEqual((await readdir(test.directory.path)).sort(), ['agent.pem', 'roots.crt']);
    assert.equal((await stat(test.agentFile)).mode & 0o777, 0o600);
  });

  it('is used at once by whoever reads the credentials', async () => {
    await using test = await RenewalTest.create();
    const subject = ownIdentity(test.credentials, test.files, undefined);
    let told = 0;
    test.credentials.onChange(() => {
      told++;
    });
    const before = test.credentials.certificate;
    await subject.look();
    assert.equal(told, 0);
    await test.clock.advance(70 * dayMs);
    await test.renew();
    const kept = await subject.look();
    assert.equal(told, 1);
    assert.ok(!before.equals(test.credentials.certificate));
    assert.equal(kept.notBeforeMs, test.clock.nowMs());
    assert.equal(kept.issuerSiteCode, 'PS1');
  });

  it('asks again with the same key when the answer was lost, also after a crash', async () => {
    await using test = await RenewalTest.create();
    const { answer } = test;
    const away = { peer: 'the site', address: 'a:1', reason: 'the connection was lost' };
    test.answer = async (request) => {
      await answer(request);
      throw new WaybillError({ code: 'PEER_UNREACHABLE', ...away });
    };
    for (let round = 0; round < 2; round++) {
      await assert.rejects(test.renew(), (error) => isErrorWithCode(error, 'PEER_UNREACHABLE'));
      test.renewal = test.newRenewal();
    }
    assert.equal((await stat(test.directory.join('renewal.key'))).mode & 0o777, 0o600);
    assert.equal(await test.renewal.lastTriedAtMs(), test.clock.nowMs());
    test.answer = answer;
    await test.renew();
    const keys = await Promise.all(
      test.requests.map(async ({ certificateRequest }) =>
        (await readCertificateRequest(certificateRequest as Buffer)).publicKey.toString('hex'),
      ),
    );
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1);
    assert.equal(await test.renewal.lastTriedAtMs(), undefined);
    await test.read();
  });

  it('begins with another key when a crash came after the new certificate', async () => {
    await using test = await RenewalTest.create();
    const { key } = await test.read();
    const [pem] =
      /-----BEGIN PRIVATE KEY-----[^-]*-----END PRIVATE KEY-----\n/.exec(String(key)) ?? [];
    await writeSecretFile(test.directory.join('renewal.key'), pem ?? '');
    await test.renew();
    const [request] = test.requests;
    const { publicKey } = await readCertificateRequest(request?.certificateRequest as Buffer);
    const own = new X509Certificate(request?.certificate as Buffer);
    const old = own.publicKey.export({ type: 'spki', format: 'der' });
    assert.notDeepEqual(publicKey, old);
  });

  it('asks with no key of an enrollment; one that an older program left of a renewal it removes', async () => {
    await using test = await RenewalTest.create();
    const file = test.directory.join('next.key');
    const key = await newPrivateKey();
    await writeSecretFile(file, `token 0123456789abcdef\n${key}`);
    await test.renew();
    const [request] = test.requests;
    const { publicKey } = await readCertificateRequest(request?.certificateRequest as Buffer);
    assert.notDeepEqual(publicKey, publicKeyInfoOf(key));
    assert.ok((await readFile(file, 'utf8')).endsWith(key));
    await writeSecretFile(file, key);
    test.credentials.replace(await test.read());
    await test.renew();
    await assert.rejects(stat(file), { code: 'ENOENT' });
  });

  it('begins with another key when the pending one is damaged', async () => {
    await using test = await RenewalTest.create();
    await writeSecretFile(test.directory.join('renewal.key'), '-----BEGIN PRIVATE KEY-----\nMIG');
    await test.renew();
    await test.read();
  });

  it('goes on being used until the new one begins by this clock, which is behind', async () => {
    await using test = await RenewalTest.create();
    const before = await readFile(test.agentFile, 'utf8');
    const { renewing, sleptMs } = await test.renewAhead();
    assert.equal(sleptMs, aheadMs);
    assert.equal(await readFile(test.agentFile, 'utf8'), before);
    await test.clock.advance(aheadMs);
    await renewing;
    assert.notEqual(await readFile(test.agentFile, 'utf8'), before);
    await test.read();
  });

  it('writes over nothing that came into its place while it waited, nor keeps where its site was', async () => {
    await using test = await RenewalTest.create();
    const { renewing } = await test.renewAhead({ enrollmentAddress: 'thief:8532' });
    const key = await newPrivateKey();
    const leaf = await test.hierarchy.leaf(publicKeyInfoOf(key), test.clock.nowMs());
    const certificates = [leaf, test.hierarchy.authority.certificate];
    await writePairFile(test.agentFile, { key, certificates });
    const enrolled = await readFile(test.agentFile, 'utf8');
    const refused = assert.rejects(renewing, {
      ...{ code: 'PEER_FAILED', message: /another one is in the place of the old one/ },
    });
    await test.clock.advance(aheadMs);
    await refused;
    assert.equal(await readFile(test.agentFile, 'utf8'), enrolled);
    await assert.rejects(stat(test.directory.join('renewal-address')), { code: 'ENOENT' });
    // Nobody is asked in the name of what is no longer there.
    await assert.rejects(test.renew(), { code: 'PEER_FAILED' });
    assert.equal(test.requests.length, 1);
  });

  it('is not taken when the root behind it was retired while it waited', async () => {
    await using test = await RenewalTest.create();
    const before = await readFile(test.agentFile, 'utf8');
    const { root } = await TestHierarchy.create(test.clock.nowMs());
    const { renewing } = await test.renewAhead();
    const roots = rootsFileText({ generation: 2, roots: [root.certificate] });
    await writeSecretFile(test.files.caFile, roots);
    const refused = assert.rejects(renewing, { code: 'PEER_FAILED' });
    await test.clock.advance(aheadMs);
    await refused;
    assert.equal(await readFile(test.agentFile, 'utf8'), before);
  });

  it('takes the place of one that no trusted root stands behind: that is nobody’s enrollment', async () => {
    await using test = await RenewalTest.create();
    const former = await TestHierarchy.create(test.clock.nowMs());
    const key = await newPrivateKey();
    const leaf = await former.leaf(publicKeyInfoOf(key), test.clock.nowMs());
    const certificates = [leaf, former.authority.certificate];
    await writePairFile(test.agentFile, { key, certificates });
    await test.renew();
    await test.read();
  });

  it('has come to its end when another program of the same holder was given one for the same key', async () => {
    await using test = await RenewalTest.create();
    const { answer } = test;
    const { renewing } = await test.renewAhead();
    test.answer = answer;
    await test.newRenewal().renew(test.credentials, never);
    await test.clock.advance(aheadMs);
    await renewing;
    await test.read();
  });

  it('takes nothing of a site of whose revocation it hears while it waits', async () => {
    await using test = await RenewalTest.create();
    let refusal: string | undefined;
    test.renewal = test.newRenewal(() => refusal);
    const before = await readFile(test.agentFile, 'utf8');
    const { renewing } = await test.renewAhead();
    refusal = 'site PS1 was revoked';
    const refused = assert.rejects(renewing, { code: 'PEER_FAILED', message: /PS1 was revoked/ });
    await test.clock.advance(aheadMs);
    await refused;
    assert.equal(await readFile(test.agentFile, 'utf8'), before);
  });

  it('is not given up for one that begins later than that, but is when it counts no more', async () => {
    await using test = await RenewalTest.create();
    test.answer = async ({ certificateRequest }) => {
      const { publicKey } = await readCertificateRequest(certificateRequest as Buffer);
      return test.issued(await test.hierarchy.leaf(publicKey, test.clock.nowMs() + 11 * 60_000));
    };
    await assert.rejects(test.renew(), { code: 'PEER_FAILED', message: /not valid before/ });
    await test.read();
    await test.clock.advance(91 * dayMs);
    await test.renew();
    assert.equal(test.requests.length, 2);
  });

  it('asks only for one on the newest root when it is wanted for that alone', async () => {
    await using test = await RenewalTest.create();
    const next = await TestHierarchy.create(test.clock.nowMs());
    await test.renew();
    const roots = [next.root.certificate, test.hierarchy.root.certificate];
    const text = rootsFileText({ generation: 2, roots });
    await writeSecretFile(test.directory.join('roots.crt'), text);
    test.credentials.replace(await test.read());
    await test.renew();
    test.credentials.replace(await test.read());
    await test.clock.advance(70 * dayMs);
    await test.renew();
    assert.deepEqual(test.askedForRootAlone, [false, true, false]);
  });
});
