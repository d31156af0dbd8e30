import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { joinKey, keySpaces } from '../state-store/key-space.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { collect, pieceHashesOf, TestLibrary, type TestTree } from '../testing/test-library.ts';
import { hashOf } from './content-hash.ts';
import type { LibraryStep } from './content-library.ts';
import { decodeDeltaList, encodeDeltaList, isSoundDelta } from './delta-list.ts';
import { filePathOf } from './library-layout.ts';

class Crash extends Error {}

const packageId = 'PS100001';
const contentId = `${packageId}.2`;
const old: TestTree = { a: Buffer.from('old bytes') };
const renewed: TestTree = { a: Buffer.from('new bytes') };
const deltaFile = Buffer.from('this stands for a delta');
const otherFile = Buffer.alloc(1024 * 1024 + 1, 'd');

function deltaOf(file: Buffer): Delta {
  return {
    ...{ fileHash: hashOf(renewed.a as Buffer), fileBytes: 9 },
    ...{ baseHash: hashOf(old.a as Buffer), baseBytes: 9 },
    ...{ deltaHash: hashOf(file), deltaBytes: file.length },
    deltaPieceHashes: pieceHashesOf(file).toString('hex'),
  };
}

const delta = deltaOf(deltaFile);
const second: Delta = { ...deltaOf(otherFile), baseHash: hashOf(Buffer.from('older bytes')) };

describe('the deltas of a content', () => {
  let directory: TemporaryDirectory;
  let clock: FakeClock;
  let test: TestLibrary;
  let crashAt: LibraryStep | undefined;

  const onStep = (step: LibraryStep) => {
    if (step === crashAt) throw new Crash(step);
  };
  const open = () => TestLibrary.open({ directory: directory.path, clock, onStep });

  beforeEach(async () => {
    crashAt = undefined;
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    test = await open();
    await test.commit(packageId, 1, old);
    await test.commit(packageId, 2, renewed);
    await test.adopt(packageId, [deltaFile, otherFile]);
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  async function restart(): Promise<void> {
    crashAt = undefined;
    await test[Symbol.asyncDispose]();
    test = await open();
  }

  const listPath = () => join(test.library.layout.dataLibrary, `${contentId}.deltas`);
  const isHere = (file: Buffer) =>
    readFile(filePathOf(test.library.layout.fileLibrary, hashOf(file))).then(
      () => true,
      () => false,
    );

  async function references(): Promise<string[]> {
    const rows = await collect(test.store.records(keySpaces.libraryReferences).list());
    return rows.map(([key]) => key).filter((key) => key.startsWith(delta.deltaHash));
  }

  /** Twice: what nobody uses is marked, then deleted. What is staged would keep it. */
  async function sweep(): Promise<void> {
    const { staging } = test.library.layout;
    for (const name of await readdir(staging)) {
      await rm(join(staging, name), { recursive: true });
    }
    for (let round = 0; round < 3; round++) {
      await test.library.sweep();
      await clock.advance(120_000);
    }
  }

  it('are told as they were added, and are files of the library (PULL-6)', async () => {
    assert.deepEqual(await test.library.deltasOf(contentId), []);
    await test.library.addDeltas(contentId, [delta]);
    await test.library.addDeltas(contentId, [delta, second]);
    assert.deepEqual(await test.library.deltasOf(contentId), [delta, second]);
    await restart();
    assert.deepEqual(await test.library.deltasOf(contentId), [delta, second]);
    assert.deepEqual(await test.library.deltasOf('PS100009.1'), []);
  });

  it('live as long as the content does (PKG-10)', async () => {
    await test.library.addDeltas(contentId, [delta]);
    await sweep();
    assert.ok(await isHere(deltaFile));
    assert.ok(!(await isHere(otherFile)));
    await test.library.removePackage(packageId);
    assert.deepEqual(await references(), []);
    assert.deepEqual(await readdir(test.library.layout.dataLibrary), []);
    await sweep();
    assert.ok(!(await isHere(deltaFile)));
  });

  it('go when the next version comes, and not before its last reader ends (PKG-5, PKG-10)', async () => {
    await test.library.addDeltas(contentId, [delta]);
    const reader = await test.library.openContent(contentId);
    await test.commit(packageId, 3, { a: Buffer.from('newer bytes') });
    await sweep();
    assert.ok(await isHere(deltaFile));
    await reader[Symbol.asyncDispose]();
    await sweep();
    assert.ok(!(await isHere(deltaFile)));
    assert.deepEqual(await references(), []);
  });

  it('are refused of a content that is not here, and when their file is not', async () => {
    const code = (name: 'CONTENT_NOT_HELD' | 'FILE_NOT_HELD') => (error: unknown) =>
      isErrorWithCode(error, name);
    await assert.rejects(
      test.library.addDeltas(`${packageId}.1`, [delta]),
      code('CONTENT_NOT_HELD'),
    );
    const lost = { ...delta, deltaHash: hashOf(Buffer.from('never came')) };
    await assert.rejects(test.library.addDeltas(contentId, [lost]), code('FILE_NOT_HELD'));
    assert.deepEqual(await test.library.deltasOf(contentId), []);
  });

  for (const step of ['deltas-listed', 'delta-references-in', 'released'] as const) {
    it(`cost at most themselves when taking or letting go breaks off at "${step}"`, async () => {
      crashAt = step;
      const isAdded = step === 'released';
      if (isAdded) await test.library.addDeltas(contentId, [delta]);
      else await assert.rejects(test.library.addDeltas(contentId, [delta]), Crash);
      if (isAdded) await assert.rejects(test.library.removePackage(packageId), Crash);
      await restart();
      const isTold = step === 'delta-references-in';
      assert.deepEqual(await test.library.deltasOf(contentId), isTold ? [delta] : []);
      if (!isAdded) {
        await test.library.addDeltas(contentId, [delta]);
        assert.deepEqual(await test.library.deltasOf(contentId), [delta]);
        await test.library.removePackage(packageId);
      }
      assert.deepEqual(await references(), []);
      await sweep();
      assert.ok(!(await isHere(deltaFile)));
    });
  }

  it('are found again when the index was lost', async () => {
    await test.library.addDeltas(contentId, [delta]);
    await test[Symbol.asyncDispose]();
    await rm(directory.join('state'), { recursive: true });
    test = await open();
    assert.deepEqual(await references(), [joinKey(delta.deltaHash, contentId)]);
    assert.deepEqual(await test.library.deltasOf(contentId), [delta]);
  });

  it('are none when their list is damaged or gone, and the content is as it was', async () => {
    await test.library.addDeltas(contentId, [delta]);
    const text = await readFile(listPath(), 'utf8');
    for (const damaged of ['', text.slice(0, -1), text.slice(0, 100), text.replace('[', '{')]) {
      await writeFile(listPath(), damaged);
      await restart();
      assert.deepEqual(await test.library.deltasOf(contentId), []);
      await using reader = await test.library.openContent(contentId);
      assert.equal((await collect(reader.entries())).flat().length, 1);
    }
    await test.library.removePackage(packageId);
    assert.deepEqual(await references(), []);
  });

  it('that lost their file are not told', async () => {
    await test.library.addDeltas(contentId, [delta, second]);
    await writeFile(filePathOf(test.library.layout.fileLibrary, second.deltaHash), 'short');
    assert.deepEqual(await test.library.deltasOf(contentId), [delta]);
  });
});

describe('the list of deltas', () => {
  it('comes back, and is of one content', () => {
    const text = encodeDeltaList(contentId, [delta, second]);
    assert.deepEqual(decodeDeltaList(contentId, text), [delta, second]);
    assert.equal(decodeDeltaList('PS100001.3', text), undefined);
  });

  it('holds 10,000 deltas at most', () => {
    const many = Array.from({ length: 10_001 }, () => delta);
    const text = encodeDeltaList(contentId, many);
    assert.equal(decodeDeltaList(contentId, text)?.length, 10_000);
  });

  it('refuses what no delta is (SEC-4)', () => {
    for (const change of [
      { fileHash: 'x' },
      { baseHash: delta.baseHash.toUpperCase() },
      { deltaHash: '../../etc/passwd' },
      { fileBytes: -1 },
      { baseBytes: 0.5 },
      { deltaBytes: 0 },
      { deltaBytes: 2 * 1024 * 1024 },
      { deltaPieceHashes: 'ab' },
    ]) {
      assert.equal(isSoundDelta({ ...delta, ...change }), false, JSON.stringify(change));
    }
    assert.equal(isSoundDelta(delta), true);
  });
});
