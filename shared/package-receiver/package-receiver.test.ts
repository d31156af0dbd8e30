import assert from 'node:assert/strict';
import { readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../content-library/content-hash.ts';
import { signaturePathOf } from '../content-library/library-layout.ts';
import { pieceBytes } from '../domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { toVersion } from '../testing/test-library.ts';
import { action, big, bytes, ProviderTest, packageId } from './testing/provider-test.ts';
import { chunksOf } from './testing/test-distribution-point.ts';

const otherId = 'PS100002';
const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

describe('package receiver', () => {
  let test: ProviderTest;
  beforeEach(async function () {
    this.timeout(10_000);
    test = await ProviderTest.open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  it('takes a package: small, empty and large files, verified and in one step (PKG-4, PTM-7)', async () => {
    const tree = { a: bytes('one'), empty: bytes(''), d: { b: big('b'), same: bytes('one') } };
    const version = await test.publish(1, tree);
    await test.sender.begin(version, 1);
    await test.sender.bring(version, 1);
    assert.equal(await test.held(), undefined, 'nothing is visible before the commit');
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
    assert.deepEqual(await test.held(), { ...version, jobSerial: 1 });
    assert.deepEqual(await test.extracted('d/b'), big('b'));
    assert.deepEqual(await readdir(test.dp.library.layout.staging), []);
    assert.deepEqual(await readdir(test.directory.join('dp/library/incoming')), []);
  });

  it('wants only what no package has here (PKG-4, PTM-4, PKG-10)', async () => {
    const shared = { big: big('s'), small: bytes('shared') };
    await test.sender.distribute(await test.publish(1, { ...shared, own: bytes('first') }), 1);
    const other = await test.publish(1, { ...shared, own: bytes('second') }, otherId);
    test.sender.sent.length = 0;
    await test.sender.distribute(other, 2);
    assert.deepEqual(test.sender.sent, [hashOf(bytes('second'))]);
    await test.dp.provider.removePackage(action(3));
    assert.equal(await test.held(), undefined);
    assert.deepEqual(await test.extracted('big', otherId), big('s'));
  });

  it('never says verified of a shared file that has rotted: it comes again, for both packages (PTM-7)', async () => {
    const shared = { big: big('s'), small: bytes('shared') };
    await test.sender.distribute(await test.publish(1, { ...shared, own: bytes('first') }), 1);
    const other = await test.publish(1, { ...shared, own: bytes('second') }, otherId);
    await test.restart();
    await writeFile(test.pathOf(big('s')), big('x'));
    await writeFile(test.pathOf(bytes('shared')), 'rotted');
    await test.sender.begin(other, 2);
    await test.sender.bring(other, 2);
    await assert.rejects(test.dp.provider.commit(action(2, otherId)), code('CONTENT_INCOMPLETE'));
    assert.equal(await test.dp.library.getPackage(otherId), undefined);

    test.sender.sent.length = 0;
    await test.sender.bring(other, 2);
    const sentHashes = new Set(test.sender.sent.map((name) => name.split(':')[0]));
    assert.deepEqual(sentHashes, new Set([hashOf(big('s')), hashOf(bytes('shared'))]));
    assert.equal(await test.dp.provider.commit(action(2, otherId)), other.packageHash);
    for (const id of [packageId, otherId]) {
      assert.deepEqual(await test.extracted('big', id), big('s'));
      assert.deepEqual(await test.extracted('small', id), bytes('shared'));
    }
  });

  it('updates: only what changed travels, the version switches at once (PKG-5)', async () => {
    const kept = { kept: big('k'), gone: bytes('gone') };
    await test.sender.distribute(await test.publish(1, { ...kept, changed: bytes('old') }), 1);
    test.sender.sent.length = 0;
    const second = await test.publish(2, { kept: kept.kept, changed: bytes('new') });
    await test.sender.begin(second, 2);
    await test.sender.bring(second, 2);
    assert.equal((await test.held())?.sourceVersion, 1);
    await test.dp.provider.commit(action(2));
    assert.deepEqual(test.sender.sent, [hashOf(bytes('new'))]);
    assert.equal((await test.held())?.sourceVersion, 2);
    assert.deepEqual(await test.extracted('changed'), bytes('new'));
  });

  it('commits twice with one answer, also after a restart (PTM-7)', async () => {
    const version = await test.publish(1, { a: bytes('one') });
    await test.sender.distribute(version, 1);
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
    await test.restart();
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
    assert.deepEqual(await test.sender.begin(version, 1), []);
    assert.deepEqual(await test.sender.wanted(version, 1), []);
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
    assert.deepEqual(await readdir(test.dp.library.layout.staging), []);
  });

  it('commits nothing that is not whole, and says how many files are missing', async () => {
    const first = await test.publish(1, { a: bytes('one') });
    await test.sender.distribute(first, 1);
    const second = await test.publish(2, { a: bytes('two'), b: big('b'), c: bytes('three') });
    await test.sender.begin(second, 2);
    const piece = big('b').subarray(0, pieceBytes);
    await test.sender.wanted(second, 2);
    await test.sender.sendPiece(action(2), hashOf(big('b')), 0, Buffer.from(piece));
    await assert.rejects(test.dp.provider.commit(action(2)), (error) => {
      assert.ok(isErrorWithCode(error, 'CONTENT_INCOMPLETE'));
      return error.details.code === 'CONTENT_INCOMPLETE' && error.details.missingFiles === 3;
    });
    assert.equal((await test.held())?.sourceVersion, 1);
    await test.sender.bring(second, 2);
    assert.equal(await test.dp.provider.commit(action(2)), second.packageHash);
    const pieces = test.sender.sent.filter((sent) => sent.startsWith(hashOf(big('b'))));
    assert.equal(pieces.length, 3, 'no piece was sent twice');
  });

  it('goes on inside a file after it was killed (PTM-7)', async () => {
    const content = Buffer.concat([big('x', 2), big('y', 3)]);
    const version = await test.publish(1, { a: bytes('one'), b: content });
    await test.sender.begin(version, 1);
    await test.sender.wanted(version, 1);
    const pieceOf = (index: number) =>
      Buffer.from(content.subarray(index * pieceBytes, (index + 1) * pieceBytes));
    for (const index of [0, 2]) {
      await test.sender.sendPiece(action(1), hashOf(content), index, pieceOf(index));
    }
    await test.dp.provider.receiveSmallFiles(action(1), [
      { hash: hashOf(bytes('one')), bytes: bytes('one') },
    ]);
    await test.restart();
    await assert.rejects(test.dp.provider.commit(action(1)), code('ACTION_NOT_BEGUN'));
    assert.deepEqual(await test.sender.begin(version, 1), [], 'the manifest is here still');
    const wanted = await test.sender.wanted(version, 1);
    assert.deepEqual(
      wanted.map(({ file, held: pieces }) => [
        file.name,
        pieces.has(0),
        pieces.has(1),
        pieces.has(2),
      ]),
      [['b', true, false, true]],
    );
    assert.equal(wanted[0]?.missingBytes, content.length - 2 * pieceBytes);
    await test.sender.bring(version, 1);
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
    assert.deepEqual(await test.extracted('b'), content);
  });

  it('refuses what an older job says, in this life and the next', async () => {
    const version = await test.publish(1, { a: bytes('one') });
    await test.sender.begin(version, 5);
    const late = [
      () => test.sender.begin(version, 4),
      () => test.dp.provider.commit(action(4)),
      () => test.sender.wanted(version, 4),
      () => test.dp.provider.removePackage(action(4)),
      () => test.dp.provider.receiveSmallFiles(action(4), []),
      () => test.sender.sendPiece(action(4), hashOf(big('b')), 0, bytes('x')),
      () => test.dp.provider.putManifest(action(4), `${packageId}.1`, chunksOf([])),
    ];
    for (const call of late) await assert.rejects(call(), code('ACTION_SUPERSEDED'));
    await test.restart();
    for (const call of late) {
      await assert.rejects(call(), code('ACTION_SUPERSEDED', 'ACTION_NOT_BEGUN'));
    }
    await assert.rejects(test.sender.begin(version, 4), code('ACTION_SUPERSEDED'));
    assert.equal(await test.held(), undefined);
    await test.sender.distribute(version, 5);
    assert.equal((await test.held())?.jobSerial, 5);
  });

  it('lets a late commit of a superseded job disturb nothing of the newer one', async () => {
    const first = await test.publish(1, { a: bytes('one') });
    await test.sender.distribute(first, 1);
    const second = await test.publish(2, { a: bytes('two'), b: big('b') });
    await test.sender.begin(second, 2);
    await assert.rejects(test.dp.provider.commit(action(1)), code('ACTION_SUPERSEDED'));
    await test.sender.bring(second, 2);
    assert.equal(await test.dp.provider.commit(action(2)), second.packageHash);
  });

  it('never goes back to a lower version (PKG-5)', async () => {
    const first = await test.publish(1, { a: bytes('one') });
    await test.sender.distribute(await test.publish(2, { a: bytes('two') }), 1);
    const begin = test.dp.provider.begin({ ...action(2), version: first, redistribute: false });
    await assert.rejects(begin, code('VERSION_DOWNGRADE'));
    assert.equal((await test.held())?.sourceVersion, 2);
  });

  it('removes what is not here, and removes again (PKG-7)', async () => {
    await test.dp.provider.removePackage(action(1));
    const version = await test.publish(1, { a: bytes('one'), b: big('b') });
    await test.sender.distribute(version, 2);
    await test.dp.provider.removePackage(action(3));
    await test.dp.provider.removePackage(action(3));
    assert.equal(await test.held(), undefined);
    await assert.rejects(test.sender.begin(version, 2), code('ACTION_SUPERSEDED'));
  });

  it('forgets what was arriving for a package that is removed', async () => {
    const version = await test.publish(1, { b: big('b') });
    await test.sender.begin(version, 1);
    await test.sender.wanted(version, 1);
    const piece = Buffer.from(big('b').subarray(0, pieceBytes));
    await test.sender.sendPiece(action(1), hashOf(big('b')), 0, piece);
    await test.dp.provider.removePackage(action(2));
    assert.deepEqual(await readdir(test.directory.join('dp/library/incoming')), []);
    assert.deepEqual(await readdir(test.dp.library.layout.staging), []);
  });

  it('commits nothing of an older job once it was cancelled, in this life and the next (PKG-9)', async () => {
    const version = await test.publish(1, { a: bytes('one'), b: big('b') });
    await test.sender.begin(version, 1);
    await test.sender.bring(version, 1);
    assert.equal(await test.dp.provider.cancel(action(2)), undefined);
    assert.equal(await test.dp.provider.cancel(action(2)), undefined, 'it can be asked again');
    await assert.rejects(test.dp.provider.commit(action(1)), code('ACTION_NOT_BEGUN'));
    await assert.rejects(test.sender.begin(version, 1), code('ACTION_SUPERSEDED'));
    await assert.rejects(test.dp.provider.removePackage(action(1)), code('ACTION_SUPERSEDED'));
    await test.restart();
    await assert.rejects(test.sender.begin(version, 1), code('ACTION_SUPERSEDED'));
    assert.equal(await test.held(), undefined);
    const [wanted] = [await test.sender.begin(version, 3), await test.sender.wanted(version, 3)];
    assert.ok(wanted);
    test.sender.sent.length = 0;
    await test.sender.bring(version, 3);
    assert.equal(await test.dp.provider.commit(action(3)), version.packageHash);
    assert.deepEqual(test.sender.sent, [], 'what had arrived is of use to the next');
  });

  it('says what it serves when older work is cancelled, and leaves it and newer work alone (PKG-9)', async () => {
    const first = await test.publish(1, { a: bytes('one') });
    await test.sender.distribute(first, 1);
    const second = await test.publish(2, { a: bytes('two') });
    await test.sender.begin(second, 2);
    const held = await test.dp.provider.cancel(action(3));
    assert.deepEqual([held?.sourceVersion, held?.packageHash], [1, first.packageHash]);
    await test.sender.begin(second, 4);
    await assert.rejects(test.dp.provider.cancel(action(3)), code('ACTION_SUPERSEDED'));
    await test.sender.bring(second, 4);
    assert.equal(await test.dp.provider.commit(action(4)), second.packageHash);
  });

  it('asks for a manifest again that was damaged in the library or in staging', async () => {
    const version = await test.publish(1, { a: bytes('one'), b: big('b') });
    await test.sender.begin(version, 1);
    const staged = await readdir(join(test.dp.library.layout.staging, packageId));
    for (const name of staged) {
      const path = join(test.dp.library.layout.staging, packageId, name);
      await truncate(path, 1);
      await assert.rejects(
        test.sender.wanted(version, 1),
        code('MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH'),
      );
      assert.deepEqual(await test.sender.begin(version, 1), [`${packageId}.1`], name);
    }
    await test.sender.bring(version, 1);
    await test.dp.provider.commit(action(1));
    await rm(signaturePathOf(test.dp.library.layout.dataLibrary, `${packageId}.1`));
    assert.deepEqual(await test.sender.begin(version, 2), []);
    await assert.rejects(test.sender.wanted(version, 2), code('CONTENT_NOT_HELD'));
    assert.deepEqual(await test.sender.begin(version, 2), [`${packageId}.1`]);
    assert.equal(await test.sender.distribute(version, 2), version.packageHash);
    assert.deepEqual(await test.sender.begin(version, 3), []);
    assert.deepEqual(await test.sender.wanted(version, 3), []);
  });

  it('sends no file twice that two packages bring at once', async () => {
    const shared = big('s');
    const first = await test.publish(1, { a: shared, b: bytes('one') });
    const second = await test.publish(1, { a: shared, c: bytes('two') }, otherId);
    await test.sender.begin(first, 1);
    await test.sender.begin(second, 2);
    await test.sender.bring(first, 1);
    await test.sender.bring(second, 2);
    assert.equal(test.sender.sent.filter((sent) => sent.startsWith(hashOf(shared))).length, 3);
    await test.dp.provider.commit(action(2, otherId));
    await test.dp.provider.commit(action(1));
    assert.deepEqual(await test.extracted('a'), shared);
    assert.deepEqual(await test.extracted('a', otherId), shared);
  });

  it('moves whole files into the library before too many wait', async () => {
    await test.restart({ stagedFilesMax: 2 });
    const version = await test.publish(1, { a: bytes('1'), b: bytes('2'), c: bytes('3') });
    await test.sender.begin(version, 1);
    await test.sender.bring(version, 1);
    const waiting = await readdir(test.directory.join('dp/library/incoming'));
    assert.ok(waiting.length <= 1, `${waiting.length} wait`);
    await test.dp.provider.commit(action(1));
  });

  it('wants a file again that was taken away from the incoming folder', async () => {
    const version = await test.publish(1, { a: bytes('one'), b: bytes('two') });
    await test.sender.begin(version, 1);
    await test.sender.bring(version, 1);
    await rm(test.directory.join('dp/library/incoming', hashOf(bytes('one'))));
    await assert.rejects(test.dp.provider.commit(action(1)), code('CONTENT_INCOMPLETE'));
    await test.sender.bring(version, 1);
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
    assert.equal(test.sender.sent.length, 3);
  });

  it('takes nothing that would eat into the reserve, and goes on when there is room', async () => {
    const version = await test.publish(1, { a: bytes('one'), b: big('b') });
    await test.restart({ reserveBytes: Number.MAX_SAFE_INTEGER });
    assert.equal(await test.dp.provider.freeBytes(), 0);
    await assert.rejects(test.sender.begin(version, 1), code('DISK_FULL'));
    await test.restart();
    await test.sender.begin(version, 1);
    const wanted = await test.sender.wanted(version, 1);
    await test.restart({ reserveBytes: Number.MAX_SAFE_INTEGER });
    assert.deepEqual(await test.sender.begin(version, 1), []);
    assert.equal((await test.sender.wanted(version, 1)).length, wanted.length);
    await assert.rejects(test.sender.bring(version, 1), code('DISK_FULL'));
    await test.restart();
    assert.equal(await test.sender.distribute(version, 1), version.packageHash);
  });

  it('knows only the contents of the package the action names', async () => {
    const version = await test.publish(1, { a: bytes('one') });
    await test.sender.distribute(await test.publish(1, { b: bytes('two') }, otherId), 1);
    await test.sender.begin(version, 2);
    const foreign = `${otherId}.1`;
    const inspection = test.dp.provider.inspect(action(2), foreign);
    await assert.rejects(inspection.next(), code('CONTENT_NOT_HELD'));
    const chunks = chunksOf(await test.sender.manifestOf(foreign));
    await assert.rejects(
      test.dp.provider.putManifest(action(2), foreign, chunks),
      code('CONTENT_NOT_HELD'),
    );
  });

  it('serves nothing of a version whose hash is not that of its contents (SEC-4)', async () => {
    const { contents } = await test.publish(1, { a: bytes('one') });
    const lie = { ...toVersion(packageId, 1, contents), packageHash: '0'.repeat(64) };
    await test.sender.begin(lie, 1);
    await test.sender.bring(lie, 1);
    await assert.rejects(test.dp.provider.commit(action(1)), code('CONTENT_HASH_MISMATCH'));
    assert.equal(await test.held(), undefined);
  });

  it('sweeps unfinished files when their grace is over, without being asked', async () => {
    await test.restart({ unfinishedGraceMs: 1_000, sweepIntervalMs: 10_000 });
    const path = test.directory.join('dp/library/incoming', '1'.repeat(64));
    await writeFile(path, 'left by a crash');
    while (test.clock.sleeperCount < 3) await new Promise(setImmediate);
    await test.clock.advance(20_000);
    while (await stat(path).catch(() => undefined)) await new Promise(setImmediate);
  });

  it('stops twice', async () => {
    await test.dp.provider.stop();
    await test.dp.provider.stop();
  });
}).timeout(20_000);
