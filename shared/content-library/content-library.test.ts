import assert from 'node:assert/strict';
import { readdir, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { collect, TestLibrary, toVersion } from '../testing/test-library.ts';
import { hashOf } from './content-hash.ts';
import type { ContentReader } from './content-reader.ts';
import { filePathOf } from './library-layout.ts';

const packageId = 'PS100001';
const graceMs = 60_000;

describe('content library', function () {
  this.timeout(10_000);
  let directory: TemporaryDirectory;
  let test: TestLibrary;
  let clock: FakeClock;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock(Date.now());
    test = await TestLibrary.open({ directory: directory.path, clock });
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const bytes = (text: string) => Buffer.from(text);
  const heldFile = (text: string) => ({ hash: hashOf(bytes(text)), sizeBytes: text.length });
  const isHeld = async (text: string) => (await test.library.areHeld([heldFile(text)]))[0];
  const code =
    (...codes: ErrorCode[]) =>
    (error: unknown) =>
      isErrorWithCode(error, ...codes);

  async function readNames(reader: ContentReader): Promise<string[]> {
    const names = [];
    for await (const batch of reader.entries()) names.push(...batch.map(({ entry }) => entry.name));
    return names;
  }

  async function readText(text: string): Promise<string> {
    await using file = await test.library.openFile(heldFile(text));
    return file.readFile('utf8');
  }

  async function sweepAfterGrace(): Promise<void> {
    await clock.advance(graceMs);
    await test.library.sweep();
  }

  it('says of each of many files whether it is here, in their order', async () => {
    const names = Array.from({ length: 450 }, (_, index) => `file ${index}`);
    const isOdd = (_: unknown, index: number) => index % 3 === 1;
    const tree = Object.fromEntries(names.filter(isOdd).map((name) => [name, bytes(name)]));
    await test.commit(packageId, 1, tree);
    assert.deepEqual(await test.library.areHeld(names.map(heldFile)), names.map(isOdd));
  });

  it('holds what was committed, after a restart too', async () => {
    const version = await test.commit(packageId, 1, { a: bytes('one'), d: { b: bytes('two') } });
    const expected = { ...version, jobSerial: 1 };
    assert.deepEqual(await test.library.getPackage(packageId), expected);
    await test[Symbol.asyncDispose]();
    test = await TestLibrary.open({ directory: directory.path, clock });
    assert.deepEqual(await test.library.getPackage(packageId), expected);
    assert.deepEqual(await collect(test.library.listPackages()), [expected]);
    await using reader = await test.library.openContent(`${packageId}.1`);
    assert.deepEqual(await readNames(reader), ['a', 'd', 'b']);
    assert.equal(await readText('two'), 'two');
  });

  it('switches from the old version to the new one, and lets a reader of the old one finish (PKG-5)', async () => {
    await test.commit(packageId, 1, { kept: bytes('same'), old: bytes('first') });
    const reader = await test.library.openContent(`${packageId}.1`);
    await test.commit(packageId, 2, { kept: bytes('same'), new: bytes('second') });
    assert.equal((await test.library.getPackage(packageId))?.sourceVersion, 2);
    await sweepAfterGrace();
    assert.deepEqual(await readNames(reader), ['kept', 'old']);
    assert.equal(await readText('first'), 'first');

    await reader[Symbol.asyncDispose]();
    await reader[Symbol.asyncDispose]();
    await test.library.sweep();
    assert.equal(await isHeld('first'), true, 'its grace begins when the reader ends');
    await sweepAfterGrace();
    assert.equal(await isHeld('first'), false);
    assert.equal(await isHeld('same'), true);
    await assert.rejects(test.library.openContent(`${packageId}.1`), code('CONTENT_NOT_HELD'));
    assert.deepEqual(await readdir(test.library.layout.dataLibrary), [
      `${packageId}.2.manifest`,
      `${packageId}.2.signature`,
    ]);
  });

  it('never goes back to a lower version (PKG-5)', async () => {
    const first = await test.commit(packageId, 1, { a: bytes('one') });
    await test.commit(packageId, 2, { a: bytes('two') });
    const commit = { version: first, jobSerial: 9, staged: [] };
    await assert.rejects(test.library.commitPackage(commit), code('VERSION_DOWNGRADE'));
    assert.equal((await test.library.getPackage(packageId))?.sourceVersion, 2);
  });

  it('commits the same version again with the same answer', async () => {
    const version = await test.commit(packageId, 1, { a: bytes('one') });
    const again = await test.library.commitPackage({ version, jobSerial: 2, staged: [] });
    assert.deepEqual(again, { packageHash: version.packageHash });
    assert.equal((await test.library.getPackage(packageId))?.jobSerial, 2);
    assert.equal(await isHeld('one'), true);
  });

  it('refuses a version of which a file is missing or has another size, and shows the old one', async () => {
    await test.commit(packageId, 1, { a: bytes('one') });
    const { descriptor, staged } = await test.stage(packageId, `${packageId}.2`, {
      a: bytes('two'),
      b: bytes('three'),
    });
    const path = filePathOf(test.library.layout.fileLibrary, heldFile('two').hash);
    const commit = {
      version: toVersion(packageId, 2, [descriptor]),
      jobSerial: 2,
      staged: [staged],
    };
    for (const damage of [() => unlink(path), () => writeFile(path, 'twoo')]) {
      await damage();
      await assert.rejects(test.library.commitPackage(commit), (error) => {
        assert.ok(isErrorWithCode(error, 'CONTENT_INCOMPLETE'));
        assert.equal(error.details.code === 'CONTENT_INCOMPLETE' && error.details.missingFiles, 1);
        return true;
      });
      assert.equal((await test.library.getPackage(packageId))?.sourceVersion, 1);
    }
    await test.adopt(packageId, [bytes('two')]);
    await test.library.commitPackage(commit);
    assert.equal((await test.library.getPackage(packageId))?.sourceVersion, 2);
  });

  it('refuses manifests, signatures and hashes that are not what the version names (SEC-4)', async () => {
    const { descriptor, staged } = await test.stage(packageId, `${packageId}.1`, {
      a: Buffer.alloc(2 ** 20 + 1),
    });
    const version = toVersion(packageId, 1, [descriptor]);
    const commit = { version, jobSerial: 1, staged: [staged] };
    const signature = await readFile(staged.signaturePath);
    for (const wrong of [
      signature.subarray(1),
      Buffer.alloc(64),
      Buffer.concat([signature, signature]),
    ]) {
      await writeFile(staged.signaturePath, wrong);
      await assert.rejects(
        test.library.commitPackage(commit),
        code('MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'),
      );
    }
    await writeFile(staged.signaturePath, signature);
    const otherHash = { ...version, packageHash: '0'.repeat(64) };
    await assert.rejects(
      test.library.commitPackage({ ...commit, version: otherHash }),
      code('CONTENT_HASH_MISMATCH'),
    );
    const manifest = await readFile(staged.manifestPath);
    await writeFile(
      staged.manifestPath,
      Buffer.from(manifest.toString('latin1').replace('"a"', '"b"'), 'latin1'),
    );
    await assert.rejects(test.library.commitPackage(commit), code('CONTENT_HASH_MISMATCH'));
    await unlink(staged.manifestPath);
    await assert.rejects(test.library.commitPackage(commit), code('CONTENT_NOT_HELD'));
    assert.equal(await test.library.getPackage(packageId), undefined);
  });

  it('refuses a content ID that stands for other bytes, or is of another package', async () => {
    await test.commit(packageId, 1, { a: bytes('one') });
    const other = await test.stage(packageId, `${packageId}.1`, { a: bytes('other') });
    const commit = {
      version: toVersion(packageId, 2, [other.descriptor]),
      jobSerial: 2,
      staged: [other.staged],
    };
    await assert.rejects(test.library.commitPackage(commit), code('CONTENT_HASH_MISMATCH'));
    const { contents } = (await test.library.getPackage(packageId))!;
    const foreign = { version: toVersion('PS100002', 1, contents), jobSerial: 1, staged: [] };
    await assert.rejects(test.library.commitPackage(foreign), code('MESSAGE_INVALID'));
    const twice = {
      version: toVersion(packageId, 2, [...contents, ...contents]),
      jobSerial: 2,
      staged: [],
    };
    await assert.rejects(test.library.commitPackage(twice), code('MESSAGE_INVALID'));
  });

  it("refuses a content whose name says that it is another package's, though that never came", async () => {
    for (const contentId of ['PS100009.1', 'Content_PS100009_0b1c.1']) {
      const { descriptor, staged } = await test.stage(packageId, contentId, { a: bytes('one') });
      const version = toVersion(packageId, 1, [descriptor]);
      const commit = { version, jobSerial: 1, staged: [staged] };
      await assert.rejects(test.library.commitPackage(commit), code('MESSAGE_INVALID'));
    }
    for (const contentId of [`Content_${packageId}_0b1c.1`, 'Content_0b1c.1']) {
      const { descriptor, staged } = await test.stage(packageId, contentId, { a: bytes('one') });
      const version = toVersion(packageId, 1, [descriptor]);
      await test.library.commitPackage({ version, jobSerial: 1, staged: [staged] });
    }
  });

  it('writes a damaged file again, undisturbed by who reads the old one (PKG-6)', async () => {
    await test.commit(packageId, 1, { a: bytes('good') });
    const path = filePathOf(test.library.layout.fileLibrary, heldFile('good').hash);
    await writeFile(path, 'evil');
    await using before = await test.library.openFile(heldFile('good'));
    await test.adopt(packageId, [bytes('good')]);
    assert.equal(await readText('good'), 'good');
    assert.equal(await before.readFile('utf8'), 'evil');
  });

  it('adopts files twice, and says when one is nowhere', async () => {
    await test.adopt(packageId, [bytes('one'), bytes('two')]);
    const staged = { ...heldFile('one'), path: directory.join('gone') };
    await test.library.adoptFiles([staged]);
    assert.equal(await isHeld('one'), true);
    const missing = { ...heldFile('never'), path: directory.join('gone') };
    await assert.rejects(test.library.adoptFiles([missing]), code('FILE_NOT_HELD'));
  });

  it('adopts more files than are synced one by one', async () => {
    const files = Array.from({ length: 40 }, (_, index) => bytes(`file ${index}`));
    await test.adopt(packageId, files);
    const areHeld = await test.library.areHeld(files.map((file) => heldFile(String(file))));
    assert.deepEqual(
      areHeld,
      files.map(() => true),
    );
  });

  it('opens only regular files of the right size, never through a link (SEC-4)', async () => {
    await test.adopt(packageId, [bytes('one')]);
    const file = heldFile('one');
    const path = filePathOf(test.library.layout.fileLibrary, file.hash);
    await assert.rejects(test.library.openFile({ ...file, sizeBytes: 4 }), code('FILE_NOT_HELD'));
    await writeFile(directory.join('elsewhere'), 'one');
    // In one step: the sweep after a start takes a folder along in which nothing is for a moment.
    await symlink(directory.join('elsewhere'), directory.join('link'));
    await rename(directory.join('link'), path);
    await assert.rejects(test.library.openFile(file), code('FILE_NOT_HELD'));
    assert.deepEqual(await test.library.areHeld([file]), [false]);
    await rm(path);
    await assert.rejects(test.library.openFile(file), code('FILE_NOT_HELD'));
  });

  it('makes no path of a name that is none of its own (SEC-4)', async () => {
    const evil = { hash: '../../../../etc/passwd', sizeBytes: 1 };
    await assert.rejects(test.library.areHeld([evil]));
    await assert.rejects(test.library.openFile(evil), RangeError);
    await assert.rejects(test.library.adoptFiles([{ ...evil, path: directory.join('x') }]));
    assert.throws(() => test.library.stagingDirectoryOf('../PS1'), RangeError);
    await assert.rejects(test.library.removePackage('../../x'), RangeError);
    const version = { ...toVersion('../x', 1, []), packageId: '../x' };
    const commit = { version, jobSerial: 1, staged: [] };
    await assert.rejects(test.library.commitPackage(commit), RangeError);
  });

  it('sets a damaged package record aside, says so, and holds the others', async () => {
    await test.commit(packageId, 1, { a: bytes('one') });
    await test.commit('PS100002', 1, { a: bytes('two') });
    await test[Symbol.asyncDispose]();
    const records = test.library.layout.packageLibrary;
    const record = await readFile(join(records, `${packageId}.json`), 'utf8');
    await writeFile(
      join(records, `${packageId}.json`),
      record.replace(/"contentHash": "./, '"contentHash": "g'),
    );
    await writeFile(join(records, 'PS100003.json'), record);
    await writeFile(join(records, 'PS100004.json.tmp'), 'half');
    test = await TestLibrary.open({ directory: directory.path, clock });
    const held = (await collect(test.library.listPackages())).map(({ packageId: id }) => id);
    assert.deepEqual(held, ['PS100002']);
    assert.deepEqual((await readdir(records)).sort(), [
      'PS100001.json.damaged',
      'PS100002.json',
      'PS100003.json.damaged',
    ]);
    assert.equal(test.log.messages(50).length, 2);
  });

  for (const isIndexLost of [false, true]) {
    it(`keeps all of a package whose record is damaged${isIndexLost ? ', and the index lost' : ''}`, async () => {
      const version = await test.commit(packageId, 1, { a: bytes('one') });
      await test[Symbol.asyncDispose]();
      const path = join(test.library.layout.packageLibrary, `${packageId}.json`);
      await writeFile(path, '{');
      if (isIndexLost) await rm(directory.join('state'), { recursive: true });
      // The second start finds only what the first one set aside.
      for (let start = 0; start < 2; start++) {
        test = await TestLibrary.open({ directory: directory.path, clock });
        for (let round = 0; round < 2; round++) await sweepAfterGrace();
        assert.equal(await isHeld('one'), true);
        if (start === 0) await test[Symbol.asyncDispose]();
      }
      await test.library.commitPackage({ version, jobSerial: 2, staged: [] });
      await sweepAfterGrace();
      assert.equal(await readText('one'), 'one');
      assert.deepEqual(await readdir(test.library.layout.packageLibrary), [`${packageId}.json`]);

      await test.library.removePackage(packageId);
      await sweepAfterGrace();
      assert.equal(await isHeld('one'), false);
    });
  }

  it('lets go of a package whose record is damaged once it is removed', async () => {
    await test.commit(packageId, 1, { a: bytes('one') });
    await test[Symbol.asyncDispose]();
    await writeFile(join(test.library.layout.packageLibrary, `${packageId}.json`), '{');
    test = await TestLibrary.open({ directory: directory.path, clock });
    await test.library.removePackage(packageId);
    await test.library.sweep();
    await sweepAfterGrace();
    assert.equal(await isHeld('one'), false);
    assert.deepEqual(await readdir(test.library.layout.dataLibrary), []);
  });

  it('deletes nothing while a manifest cannot be read and the index is lost', async () => {
    await test.commit(packageId, 1, { a: bytes('one') });
    await test.commit('PS100002', 1, { a: bytes('two') });
    await test[Symbol.asyncDispose]();
    const manifest = join(test.library.layout.dataLibrary, `${packageId}.1.manifest`);
    const whole = await readFile(manifest);
    await writeFile(manifest, whole.subarray(0, -2));
    await rm(directory.join('state'), { recursive: true });
    test = await TestLibrary.open({ directory: directory.path, clock });
    await test.library.sweep();
    await sweepAfterGrace();
    assert.deepEqual([await isHeld('one'), await isHeld('two')], [true, true]);
    assert.ok(test.log.messages(50).includes('Package is damaged; no file is deleted'));
    await writeFile(manifest, whole);
    await test.library.sweep();
    await sweepAfterGrace();
    assert.deepEqual([await isHeld('one'), await isHeld('two')], [true, true]);
    await test.library.removePackage(packageId);
    await sweepAfterGrace();
    assert.deepEqual([await isHeld('one'), await isHeld('two')], [false, true]);
  });

  it('stops twice', async () => {
    await test.library.stop();
    await test.library.stop();
  });
});
