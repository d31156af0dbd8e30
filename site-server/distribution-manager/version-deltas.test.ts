import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { noiseOf } from '../../shared/testing/noise.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { TestLibrary, type TestTree } from '../../shared/testing/test-library.ts';
import { defaultVersionDeltasConfig, VersionDeltas } from './version-deltas.ts';

const packageId = 'PS100001';
const file = (seed: number) => noiseOf(300_000, seed);
const edited = (seed: number) => Buffer.concat([file(seed), Buffer.from('edit')]);

describe('the deltas of a new version', function () {
  this.timeout(20_000);
  const { signal } = new AbortController();
  let directory: TemporaryDirectory;
  let test: TestLibrary;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    test = await TestLibrary.open({ directory: directory.path });
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  async function update(
    trees: readonly [TestTree, TestTree],
    options: { filesMax?: number; reserveBytes?: number; signal?: AbortSignal } = {},
  ): Promise<(readonly [string, string])[]> {
    const { library } = test;
    const { logger } = test.log;
    const config = { ...defaultVersionDeltasConfig, reserveBytes: 0, ...options };
    const deltas = new VersionDeltas({ library, logger }, config);
    await test.commit(packageId, 1, trees[0]);
    await using before = await deltas.keep(await library.getPackage(packageId));
    const version = await test.commit(packageId, 2, trees[1]);
    await before.makeDeltas(version, options.signal ?? signal);
    const listed = await library.deltasOf(`${packageId}.2`);
    return listed.map(({ baseHash, fileHash }) => [baseHash, fileHash] as const);
  }

  const pair = (seed: number) => [hashOf(file(seed)), hashOf(edited(seed))] as const;

  it('are of files that took the place of others of the same path (PKG-5)', async () => {
    const pairs = await update([
      {
        a: { b: file(1), c: file(2) },
        d: { b: file(3) },
        e: file(4),
        f: file(5),
        g: { h: file(6) },
      },
      {
        a: { b: edited(1), c: file(2) },
        d: { b: edited(3) },
        e: { e: edited(4) },
        g: edited(6),
        z: edited(5),
      },
    ]);
    assert.deepEqual(pairs.sort(), [pair(1), pair(3)].sort());
    assert.deepEqual(await readdir(test.library.layout.staging), []);
  });

  it('are not made of small files, nor of ones that are others altogether', async () => {
    const trees = [
      { small: noiseOf(200_000, 1), other: file(2) },
      { small: noiseOf(200_010, 1), other: file(3) },
    ] as const;
    assert.deepEqual(await update(trees), []);
  });

  it('are made once of a file that stands in several places', async () => {
    const trees = [
      { a: file(1), b: file(1) },
      { a: edited(1), b: edited(1) },
    ] as const;
    assert.deepEqual(await update(trees), [pair(1)]);
  });

  it('are bounded in number', async () => {
    const trees = [
      { a: file(1), b: file(2) },
      { a: edited(1), b: edited(2) },
    ] as const;
    assert.deepEqual(await update(trees, { filesMax: 1 }), [pair(1)]);
  });

  it('are left out where the disk is short', async () => {
    const trees = [{ a: file(1) }, { a: edited(1) }] as const;
    assert.deepEqual(await update(trees, { reserveBytes: 2 ** 60 }), []);
  });

  it('end with the work on the package', async () => {
    const trees = [{ a: file(1) }, { a: edited(1) }] as const;
    const stopped = AbortSignal.abort();
    await assert.rejects(update(trees, { signal: stopped }), isAbortError);
  });

  it('keep the version before as long as they are made, and no longer (PKG-10)', async () => {
    await update([{ a: file(1) }, { a: edited(1) }]);
    await test.library.sweep();
    await test.clock.advance(120_000);
    await test.library.sweep();
    const held = await test.library.areHeld(
      [file(1), edited(1)].map((bytes) => ({ hash: hashOf(bytes), sizeBytes: bytes.length })),
    );
    assert.deepEqual(held, [false, true]);
  });
});
