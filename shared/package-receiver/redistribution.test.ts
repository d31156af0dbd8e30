import assert from 'node:assert/strict';
import { rm, stat, truncate, writeFile } from 'node:fs/promises';
import { hashOf } from '../content-library/content-hash.ts';
import { manifestPathOf, signaturePathOf } from '../content-library/library-layout.ts';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { action, big, bytes, ProviderTest, packageId } from './testing/provider-test.ts';

const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

describe('redistribution to a DP (PKG-6)', () => {
  let test: ProviderTest;
  beforeEach(async function () {
    this.timeout(10_000);
    test = await ProviderTest.open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  const tree = { a: bytes('one'), b: big('b'), c: bytes('three') };

  it('writes every file again, and repairs what was damaged', async () => {
    const version = await test.publish(1, tree);
    await test.sender.distribute(version, 1);
    const evil = big('e');
    await writeFile(test.pathOf(tree.b), evil);
    await writeFile(test.pathOf(tree.a), 'two');
    await rm(test.pathOf(tree.c));
    test.sender.sent.length = 0;
    assert.equal(await test.sender.distribute(version, 2, true), version.packageHash);
    assert.equal(test.sender.sent.length, 5);
    assert.deepEqual(await test.extracted('b'), tree.b);
    assert.deepEqual(await test.extracted('a'), tree.a);
    assert.equal((await test.held())?.jobSerial, 2);
  });

  it('repairs a damaged manifest and signature', async () => {
    const version = await test.publish(1, tree);
    await test.sender.distribute(version, 1);
    const { dataLibrary } = test.dp.library.layout;
    const manifest = manifestPathOf(dataLibrary, `${packageId}.1`);
    await truncate(manifest, (await stat(manifest)).size - 5);
    await writeFile(signaturePathOf(dataLibrary, `${packageId}.1`), Buffer.alloc(96));
    assert.equal(await test.sender.distribute(version, 2, true), version.packageHash);
    assert.deepEqual(await test.extracted('b'), tree.b);
  });

  it('goes on after a restart where it stood', async () => {
    await test.restart({ stagedFilesMax: 1 });
    const version = await test.publish(1, tree);
    await test.sender.distribute(version, 1);
    await test.sender.begin(version, 2, true);
    assert.equal((await test.sender.wanted(version, 2)).length, 3);
    await test.dp.provider.receiveSmallFiles(action(2), [
      { hash: hashOf(tree.a), bytes: Buffer.from(tree.a) },
    ]);
    await test.restart({ stagedFilesMax: 1 });
    assert.deepEqual(await test.sender.begin(version, 2, true), []);
    assert.deepEqual(
      (await test.sender.wanted(version, 2)).map(({ file }) => file.name),
      ['b', 'c'],
    );
    await test.sender.bring(version, 2);
    assert.equal(await test.dp.provider.commit(action(2)), version.packageHash);
  });

  it('wants again what was written anew and is gone since', async () => {
    await test.restart({ stagedFilesMax: 1 });
    const version = await test.publish(1, tree);
    await test.sender.begin(version, 1, true);
    await test.sender.bring(version, 1);
    await rm(test.pathOf(tree.a));
    await assert.rejects(test.dp.provider.commit(action(1)), code('CONTENT_INCOMPLETE'));
    const wanted = (await test.sender.wanted(version, 1)).map(({ file }) => file.name);
    assert.deepEqual(wanted, ['a']);
    await test.sender.bring(version, 1);
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
  });

  it('is not done again when only the answer to its commit was lost', async () => {
    const version = await test.publish(1, tree);
    await test.sender.distribute(version, 1, true);
    await test.restart();
    assert.deepEqual(await test.sender.begin(version, 1, true), []);
    assert.deepEqual(await test.sender.wanted(version, 1), []);
    assert.equal(await test.dp.provider.commit(action(1)), version.packageHash);
  });

  it('does not want again what a newer job brings without repair', async () => {
    const version = await test.publish(1, tree);
    await test.sender.distribute(version, 1);
    await test.sender.begin(version, 2, true);
    await test.sender.begin(version, 3);
    assert.deepEqual(await test.sender.wanted(version, 3), []);
  });
}).timeout(20_000);
