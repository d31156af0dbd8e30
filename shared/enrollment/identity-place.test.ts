import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { chmod, chown, mkdir, readdir, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { issueLeaf, issueRoot } from '../certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../certificates/certificate-requests.ts';
import { makeSecretDirectory, writeSecretFile } from '../certificates/secret-files.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { IdentityPlace, ownerOf } from './identity-place.ts';

const enrollment = { tokenId: '0123456789abcdef', isAnew: false };
const validity = { notBefore: new Date(0), notAfter: new Date('2100-01-01') };

/** What an enrollment gives a DP. */
async function givenFor(key: string, uri = 'waybill://dp/PS1DP1') {
  const root = await issueRoot({ name: 'root', ...validity });
  const publicKey = publicKeyInfoOf(key);
  const leaf = await issueLeaf(root, { commonName: 'x', uris: [uri], publicKey, ...validity });
  return { key, certificates: [leaf], root: new X509Certificate(root.certificate) };
}

describe('where an identity is kept (SEC-2)', () => {
  let directory: TemporaryDirectory;
  let place: IdentityPlace;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const identity = directory.join('data', 'identity');
    place = new IdentityPlace(identity, join(identity, 'agent.pem'));
  });

  afterEach(() => directory[Symbol.asyncDispose]());

  it('asks with the same key until it has come to its end, whatever was killed', async () => {
    const key = await place.keyToAskWith(newPrivateKey, enrollment);
    const again = new IdentityPlace(place.directory, place.credentialFile);
    assert.equal(await again.keyToAskWith(newPrivateKey, enrollment), key);
    const given = await givenFor(key);
    await again.writeRoots(given);
    assert.equal(await again.held(), undefined);
    await again.writeCredentials(given);
    const { holder, isNew } = (await again.held()) ?? {};
    assert.deepEqual({ holder, isNew }, { holder: 'dp/PS1DP1', isNew: true });
    await again.finish();
    assert.equal((await again.held())?.isNew, false);
    assert.notEqual(await again.keyToAskWith(newPrivateKey, enrollment), key);
  });

  it('forgets with an enrollment where the one before renewed, also when that cannot be read', async () => {
    await place.keyToAskWith(newPrivateKey, enrollment);
    await place.keepRenewalAddress('old:8532');
    await chmod(join(place.directory, 'renewal-address'), 0o644);
    await place.restartRenewingAt('new:8532');
    assert.equal(await place.toldRenewalAddress(), 'new:8532');
    for (let round = 0; round < 2; round++) {
      await place.restartRenewingAt('');
      assert.equal(await place.toldRenewalAddress(), undefined);
    }
  });

  it('asks with a token only with a key of that token; anew with no other at all', async () => {
    const keyFor = (tokenId: string, isAnew = false) =>
      place.keyToAskWith(newPrivateKey, { tokenId, isAnew });
    const [first, second] = ['0123456789abcdef', 'fedcba9876543210'];
    await makeSecretDirectory(place.directory);
    const ofOlder = await newPrivateKey();
    await writeSecretFile(join(place.directory, 'next.key'), ofOlder);
    // Of an older program, which did not say for which token it was.
    assert.equal(await keyFor(first), ofOlder);
    const anew = await keyFor(first, true);
    assert.notEqual(anew, ofOlder);
    assert.equal(await keyFor(first, true), anew);
    assert.equal(await keyFor(first), anew);
    const other = await keyFor(second);
    assert.notEqual(other, anew);
    assert.match(other, /^-----BEGIN PRIVATE KEY-----/);
    await place.writeCredentials(await givenFor(other));
    const held = await place.held();
    assert.deepEqual([held?.isNew, held?.tokenId], [true, second]);
    await place.dropUnmarkedKey();
    assert.equal(await keyFor(second), other);
  });

  it('renews with a key that no token is asked with, and takes a renewal for no enrollment', async () => {
    const ofToken = await place.keyToAskWith(newPrivateKey, enrollment);
    const inUse = createPublicKey(await newPrivateKey());
    const key = await place.renewalKey.toAskWith(newPrivateKey, inUse);
    assert.notEqual(key, ofToken);
    assert.equal(await place.renewalKey.toAskWith(newPrivateKey, inUse), key);
    await place.writeCredentials(await givenFor(key));
    const { isNew, tokenId } = (await place.held()) ?? {};
    assert.deepEqual({ isNew, tokenId }, { isNew: false, tokenId: undefined });
    assert.notEqual(await place.renewalKey.toAskWith(newPrivateKey, createPublicKey(key)), key);
    assert.equal(await place.keyToAskWith(newPrivateKey, enrollment), ofToken);
  });

  it('takes for no enrollment what an older program left of a renewal, and drops it', async () => {
    const key = await newPrivateKey();
    await place.writeCredentials(await givenFor(key));
    const left = join(place.directory, 'next.key');
    await writeSecretFile(left, key);
    assert.equal((await place.held())?.isNew, false);
    await place.dropUnmarkedKey();
    await assert.rejects(stat(left), { code: 'ENOENT' });
    await place.dropUnmarkedKey();
  });

  it('says CERTIFICATE_INVALID of a file that is spoilt, certificate or key', async () => {
    const given = await givenFor(await place.keyToAskWith(newPrivateKey, enrollment));
    const block = (name: string) => `-----BEGIN ${name}-----\nanVuaw==\n-----END ${name}-----`;
    const spoilt = [
      { ...given, certificates: [block('CERTIFICATE')] },
      { ...given, key: block('PRIVATE KEY') },
    ];
    for (const one of spoilt) {
      await place.writeCredentials(one);
      await assert.rejects(place.held(), { code: 'CERTIFICATE_INVALID', message: /is spoilt/ });
    }
  });

  it('is for its owner only, every file of it', async () => {
    const given = await givenFor(await place.keyToAskWith(newPrivateKey, enrollment));
    await place.writeRoots(given);
    await place.writeCredentials(given);
    assert.equal((await stat(place.directory)).mode & 0o777, 0o700);
    const names = (await readdir(place.directory)).sort();
    assert.deepEqual(names, ['agent.pem', 'next.key', 'roots.crt']);
    for (const name of names) {
      assert.equal((await stat(join(place.directory, name))).mode & 0o777, 0o600, name);
    }
  });

  it('belongs to the user of the service whose data directory it is in', async function () {
    // Only root can be somebody else.
    if (process.getuid?.() !== 0) return this.skip();
    await chown(directory.path, 12_345, 12_346);
    const owner = await ownerOf(directory.path, 0);
    assert.deepEqual(owner, { uid: 12_345, gid: 12_346 });
    const identity = directory.join('identity');
    const its = new IdentityPlace(identity, join(identity, 'agent.pem'), owner);
    const given = await givenFor(await its.keyToAskWith(newPrivateKey, enrollment));
    await its.writeRoots(given);
    await its.writeCredentials(given);
    for (const name of ['', ...(await readdir(identity))]) {
      const { uid, gid } = await stat(join(identity, name));
      assert.deepEqual({ uid, gid }, owner, name);
    }
  });

  it('is written by that user: never where a link of his leads', async function () {
    // Only root can be somebody else.
    if (process.getuid?.() !== 0) return this.skip();
    await mkdir(directory.join('system'), { mode: 0o700 });
    await mkdir(directory.join('data'));
    await chown(directory.join('data'), 12_345, 12_346);
    await chmod(directory.path, 0o755);
    const identity = directory.join('data', 'identity');
    await symlink(directory.join('system'), identity);
    const owner = await ownerOf(directory.join('data'), 0);
    const its = new IdentityPlace(identity, join(identity, 'agent.pem'), owner);
    const key = await newPrivateKey();
    const given = await givenFor(key);
    const refused = { code: /^(EACCES|CERTIFICATE_INVALID)$/ };
    await assert.rejects(
      its.keyToAskWith(() => Promise.resolve(key), enrollment),
      refused,
    );
    await assert.rejects(its.writeRoots(given), refused);
    await assert.rejects(its.writeCredentials(given), refused);
    assert.deepEqual(await readdir(directory.join('system')), []);
  });

  it('is given away by nobody but root, and to nobody when there is nothing', async () => {
    assert.equal(await ownerOf(directory.path, 1_000), undefined);
    assert.equal(await ownerOf(directory.path, undefined), undefined);
    assert.equal(await ownerOf(directory.join('nowhere'), 0), undefined);
  });
});
