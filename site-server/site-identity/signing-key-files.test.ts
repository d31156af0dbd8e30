import assert from 'node:assert/strict';
import { verify } from 'node:crypto';
import { copyFile, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { SigningKey } from '../../shared/domain/site.ts';
import { publicKeyOf } from '../../shared/site-identity/identity-check.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { SigningKeyFiles } from './signing-key-files.ts';

const text = Buffer.from('what is signed');

describe('Signing keys', () => {
  let place: TemporaryDirectory;
  const folder = () => place.join('signing-keys');
  const open = (nowMs = 1_000) => SigningKeyFiles.open(folder(), nowMs);
  const pems = async () => (await readdir(folder())).filter((name) => name.endsWith('.pem'));

  beforeEach(async () => {
    place = await TemporaryDirectory.create();
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('are made once, for their owner only, and are the same after every start', async () => {
    const keys = await open();
    const { keyId, signature } = keys.sign(text);
    assert.deepEqual(await pems(), [`${keyId}.pem`]);
    assert.equal((await stat(place.join('signing-keys', `${keyId}.pem`))).mode & 0o777, 0o600);
    assert.equal((await stat(folder())).mode & 0o777, 0o700);
    const again = await open(2_000);
    assert.deepEqual(again.keys, keys.keys);
    const publicKey = publicKeyOf(again.keys[0]!);
    assert.ok(publicKey && verify(null, text, publicKey, signature));
  });

  it('leave only the new private half when they rotate, and all public halves still needed', async () => {
    const keys = await open(1_000);
    const first = keys.sign(text).keyId;
    await keys.rotate(5_000, 0);
    const second = keys.sign(text).keyId;
    assert.notEqual(first, second);
    assert.deepEqual(await pems(), [`${second}.pem`]);
    const listed = (await open(6_000)).keys;
    assert.deepEqual(
      listed.map(({ keyId, createdAtMs, retiredAtMs }) => ({ keyId, createdAtMs, retiredAtMs })),
      [
        { keyId: second, createdAtMs: 5_000, retiredAtMs: 0 },
        { keyId: first, createdAtMs: 1_000, retiredAtMs: 5_000 },
      ],
    );
    await keys.rotate(9_000, 6_000);
    assert.deepEqual(
      keys.keys.map(({ retiredAtMs }) => retiredAtMs),
      [0, 9_000],
      'what retired too long ago is not listed',
    );
  });

  it('are whole after a crash at each step of making the first one', async () => {
    const { keyId } = (await open()).sign(text);
    const list = place.join('signing-keys', 'public-keys.json');
    const pem = place.join('signing-keys', `${keyId}.pem`);
    const half = (await readFile(pem)).subarray(0, 20);
    // Killed before the list: the key is there, and is used.
    await rm(list);
    assert.equal((await open(2_000)).sign(text).keyId, keyId);
    // Killed while the list was written.
    await rm(list);
    await writeFile(`${list}.new`, '[{"key');
    assert.equal((await open(2_000)).sign(text).keyId, keyId);
    // Killed while the key was written: there is none yet.
    await rm(list);
    await rm(pem);
    await writeFile(`${pem}.new`, half);
    const other = await open(3_000);
    assert.notEqual(other.sign(text).keyId, keyId);
    assert.deepEqual(
      (await readdir(folder())).toSorted(),
      [`${other.sign(text).keyId}.pem`, 'public-keys.json'].toSorted(),
    );
  });

  it('are whole after a crash at each step of a rotation', async () => {
    const keys = await open(1_000);
    const first = keys.sign(text).keyId;
    const list = place.join('signing-keys', 'public-keys.json');
    await copyFile(list, place.join('list-before'));
    await copyFile(place.join('signing-keys', `${first}.pem`), place.join('pem-before'));
    await keys.rotate(5_000, 0);
    const second = keys.sign(text).keyId;
    // Killed after the list: the old private half is still there, and goes.
    await copyFile(place.join('pem-before'), place.join('signing-keys', `${first}.pem`));
    assert.equal((await open(6_000)).sign(text).keyId, second);
    assert.deepEqual(await pems(), [`${second}.pem`]);
    // Killed before the list: the new one never signed anything, and goes.
    await copyFile(place.join('pem-before'), place.join('signing-keys', `${first}.pem`));
    await copyFile(place.join('list-before'), list);
    assert.equal((await open(6_000)).sign(text).keyId, first);
    assert.deepEqual(await pems(), [`${first}.pem`]);
  });

  it('are replaced when the disk has damaged the one in use', async () => {
    const before = await open(500);
    const zeroth = before.sign(text).keyId;
    await before.rotate(1_000, 0);
    const first = before.sign(text).keyId;
    await writeFile(place.join('signing-keys', `${first}.pem`), 'damaged');
    const keys = await open(2_000);
    assert.notEqual(keys.sign(text).keyId, first);
    const listed = keys.keys.slice(1).map(({ keyId }) => keyId);
    assert.deepEqual(listed, [first, zeroth], 'what they signed can still be checked');
  });

  it('are what is sound of a list that was damaged, and the one in use stays in use', async () => {
    const before = await open(500);
    const zeroth = before.sign(text).keyId;
    await before.rotate(1_000, 0);
    const first = before.sign(text).keyId;
    const list = place.join('signing-keys', 'public-keys.json');
    const sound = JSON.parse(await readFile(list, 'utf8')) as SigningKey[];
    const [current, retired] = sound as [SigningKey, SigningKey];
    const damaged: readonly [unknown, string[]][] = [
      [
        [null, 5, 'key', {}, ...sound],
        [first, zeroth],
      ],
      [
        [retired, current],
        [first, zeroth],
      ],
      [
        [...sound, ...sound],
        [first, zeroth],
      ],
      [[{ ...retired, retiredAtMs: 'never' }, current], [first]],
      [[current, { ...retired, publicKey: current.publicKey }], [first]],
      [
        [current, { ...retired, retiredAtMs: 0 }],
        [first, zeroth],
      ],
      [[current], [first]],
      [{ 0: current }, [first]],
    ];
    for (const [content, expected] of damaged) {
      await writeFile(list, JSON.stringify(content));
      const keys = await open(2_000);
      const { keyId, signature } = keys.sign(text);
      assert.equal(keyId, first, JSON.stringify(content));
      const publicKey = publicKeyOf(keys.keys[0]!);
      assert.ok(publicKey && verify(null, text, publicKey, signature));
      assert.deepEqual(
        keys.keys.map((one) => one.keyId),
        expected,
      );
      assert.ok(keys.keys.slice(1).every(({ retiredAtMs }) => retiredAtMs > 0));
      assert.deepEqual(await pems(), [`${first}.pem`]);
    }
  });
});
