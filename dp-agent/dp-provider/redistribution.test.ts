import assert from 'node:assert/strict';
import { mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import {
  filePathOf,
  manifestPathOf,
  signaturePathOf,
} from '../../shared/content-library/library-layout.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../../shared/domain/errors.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { TestLibrary, type TestTree } from '../../shared/testing/test-library.ts';
import type { DpProviderConfig } from './dp-provider.ts';
import { TestDistributionPoint, TestSender } from './testing/test-distribution-point.ts';

const packageId = 'PS100001';
const bytes = (text: string) => Buffer.from(text);
const big = (fill: string, pieceCount = 3) => Buffer.alloc((pieceCount - 1) * pieceBytes + 9, fill);
const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

describe('redistribution to a DP (PKG-6)', () => {
  let directory: TemporaryDirectory;
  let source: TestLibrary;
  let clock: FakeClock;
  let dp: TestDistributionPoint;
  let sender: TestSender;

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    clock = new FakeClock(Date.now());
    source = await TestLibrary.open({ directory: directory.join('site'), clock });
    await open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await dp[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  async function open(config: Partial<DpProviderConfig> = {}): Promise<void> {
    dp = await TestDistributionPoint.open({ directory: directory.join('dp'), clock, config });
    sender = new TestSender(source, dp.provider);
  }

  /** The agent ends and another one starts on what it left. */
  async function restart(config: Partial<DpProviderConfig> = {}): Promise<void> {
    await dp[Symbol.asyncDispose]();
    await open(config);
  }

  const publish = (sourceVersion: number, tree: TestTree, id = packageId) =>
    source.commit(id, sourceVersion, tree);
  const held = () => dp.library.getPackage(packageId);
  const pathOf = (content: Buffer) => filePathOf(dp.library.layout.fileLibrary, hashOf(content));
  const action = (jobSerial: number, id = packageId) => ({ packageId: id, jobSerial });

  async function extracted(name: string, id = packageId): Promise<Buffer> {
    const out = directory.join('out', String(Math.random()));
    await mkdir(directory.join('out'), { recursive: true });
    await dp.library.extractPackage(id, out);
    return readFile(join(out, name));
  }

  const tree = { a: bytes('one'), b: big('b'), c: bytes('three') };

  it('writes every file again, and repairs what was damaged', async () => {
    const version = await publish(1, tree);
    await sender.distribute(version, 1);
    const evil = big('e');
    await writeFile(pathOf(tree.b), evil);
    await writeFile(pathOf(tree.a), 'two');
    await rm(pathOf(tree.c));
    sender.sent.length = 0;
    assert.equal(await sender.distribute(version, 2, true), version.packageHash);
    assert.equal(sender.sent.length, 5);
    assert.deepEqual(await extracted('b'), tree.b);
    assert.deepEqual(await extracted('a'), tree.a);
    assert.equal((await held())?.jobSerial, 2);
  });

  it('repairs a damaged manifest and signature', async () => {
    const version = await publish(1, tree);
    await sender.distribute(version, 1);
    const { dataLibrary } = dp.library.layout;
    const manifest = manifestPathOf(dataLibrary, `${packageId}.1`);
    await truncate(manifest, (await stat(manifest)).size - 5);
    await writeFile(signaturePathOf(dataLibrary, `${packageId}.1`), Buffer.alloc(96));
    assert.equal(await sender.distribute(version, 2, true), version.packageHash);
    assert.deepEqual(await extracted('b'), tree.b);
  });

  it('goes on after a restart where it stood', async () => {
    await restart({ stagedFilesMax: 1 });
    const version = await publish(1, tree);
    await sender.distribute(version, 1);
    await sender.begin(version, 2, true);
    assert.equal((await sender.wanted(version, 2)).length, 3);
    await dp.provider.receiveSmallFiles(action(2), [
      { hash: hashOf(tree.a), bytes: Buffer.from(tree.a) },
    ]);
    await restart({ stagedFilesMax: 1 });
    assert.deepEqual(await sender.begin(version, 2, true), []);
    assert.deepEqual(
      (await sender.wanted(version, 2)).map(({ file }) => file.name),
      ['b', 'c'],
    );
    await sender.bring(version, 2);
    assert.equal(await dp.provider.commit(action(2)), version.packageHash);
  });

  it('wants again what was written anew and is gone since', async () => {
    await restart({ stagedFilesMax: 1 });
    const version = await publish(1, tree);
    await sender.begin(version, 1, true);
    await sender.bring(version, 1);
    await rm(pathOf(tree.a));
    await assert.rejects(dp.provider.commit(action(1)), code('CONTENT_INCOMPLETE'));
    const wanted = (await sender.wanted(version, 1)).map(({ file }) => file.name);
    assert.deepEqual(wanted, ['a']);
    await sender.bring(version, 1);
    assert.equal(await dp.provider.commit(action(1)), version.packageHash);
  });

  it('is not done again when only the answer to its commit was lost', async () => {
    const version = await publish(1, tree);
    await sender.distribute(version, 1, true);
    await restart();
    assert.deepEqual(await sender.begin(version, 1, true), []);
    assert.deepEqual(await sender.wanted(version, 1), []);
    assert.equal(await dp.provider.commit(action(1)), version.packageHash);
  });

  it('does not want again what a newer job brings without repair', async () => {
    const version = await publish(1, tree);
    await sender.distribute(version, 1);
    await sender.begin(version, 2, true);
    await sender.begin(version, 3);
    assert.deepEqual(await sender.wanted(version, 3), []);
  });
}).timeout(20_000);
