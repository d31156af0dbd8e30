import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import fc from 'fast-check';
import { isErrorWithCode } from '../domain/errors.ts';
import { joinKey, keySpaces } from '../state-store/key-space.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { collect, TestLibrary, type TestTree, toVersion } from '../testing/test-library.ts';
import { hashOf } from './content-hash.ts';
import type { LibraryStep } from './content-library.ts';

class Crash extends Error {}

/** What a package is to hold: the model the library is held against. */
type Model = Map<string, { readonly sourceVersion: number; readonly tree: TestTree }>;

const steps = [
  'checked',
  'manifests-in',
  'references-in',
  'published',
  'hidden',
  'released',
] as const satisfies readonly LibraryStep[];

/** Every reference there has to be: one for each file of each content of each package. */
function referencesOf(model: Model): string[] {
  const keys = [...model].flatMap(([packageId, { sourceVersion, tree }]) =>
    Object.values(tree).map((bytes) =>
      joinKey(hashOf(bytes as Buffer), `${packageId}.${sourceVersion}`),
    ),
  );
  return [...new Set(keys)].sort();
}

async function keysIn(test: TestLibrary): Promise<string[]> {
  const rows = await collect(test.store.records(keySpaces.libraryReferences).list());
  return rows.map(([key]) => key);
}

async function assertHolds(test: TestLibrary, model: Model): Promise<void> {
  assert.deepEqual(await keysIn(test), referencesOf(model), 'references equal those in manifests');
  const packages = await collect(test.library.listPackages());
  const held = packages.map((version) => [version.packageId, version.sourceVersion]);
  assert.deepEqual(
    held,
    [...model].sort().map(([id, { sourceVersion }]) => [id, sourceVersion]),
  );
  for (const [packageId, { sourceVersion, tree }] of model) {
    await using reader = await test.library.openContent(`${packageId}.${sourceVersion}`);
    const names = [];
    for await (const batch of reader.entries()) {
      for (const { entry } of batch) {
        names.push(entry.name);
        if (entry.type !== 'file') continue;
        await using file = await test.library.openFile(entry);
        assert.equal(hashOf(await file.readFile()), entry.hash);
      }
    }
    assert.deepEqual(names, Object.keys(tree).sort());
  }
}

describe('content library, broken off', function () {
  this.timeout(20_000);
  let directory: TemporaryDirectory;
  let clock: FakeClock;
  let crashAt: LibraryStep | undefined;
  let test: TestLibrary;

  const onStep = (step: LibraryStep) => {
    if (step === crashAt) throw new Crash(step);
  };
  const open = () => TestLibrary.open({ directory: directory.path, clock, onStep });
  async function restart(options: { loseIndex?: boolean } = {}): Promise<void> {
    crashAt = undefined;
    await test[Symbol.asyncDispose]();
    if (options.loseIndex) await rm(directory.join('state'), { recursive: true });
    test = await open();
  }

  beforeEach(async () => {
    crashAt = undefined;
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    test = await open();
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const old: TestTree = { a: Buffer.from('shared'), b: Buffer.from('old') };
  const renewed: TestTree = { a: Buffer.from('shared'), c: Buffer.from('new') };
  const id = 'PS100001';

  for (const step of steps) {
    it(`is right after a start when an update and a removal were broken off at "${step}" (PKG-10)`, async () => {
      const model: Model = new Map([['PS100002', { sourceVersion: 1, tree: old }]]);
      await test.commit('PS100002', 1, old);
      await test.commit(id, 1, old);
      model.set(id, { sourceVersion: 1, tree: old });

      crashAt = step;
      const isUpdated = step === 'published' || step === 'released' || step === 'hidden';
      if (step === 'hidden') await test.commit(id, 2, renewed);
      else await assert.rejects(test.commit(id, 2, renewed), Crash);
      if (isUpdated) model.set(id, { sourceVersion: 2, tree: renewed });
      await restart();
      await assertHolds(test, model);

      await test.commit(id, 2, renewed);
      model.set(id, { sourceVersion: 2, tree: renewed });
      await assertHolds(test, model);

      crashAt = step;
      if (step === 'hidden' || step === 'released')
        await assert.rejects(test.library.removePackage(id), Crash);
      else await test.library.removePackage(id);
      model.delete(id);
      await restart();
      await assertHolds(test, model);
      await clock.advance(60_000);
      await test.library.sweep();
      await assertHolds(test, model);
      await restart({ loseIndex: true });
      await assertHolds(test, model);
    });
  }

  it('says CONTENT_NOT_HELD when a commit comes again after what it staged was let go', async () => {
    const { descriptor, staged } = await test.stage(id, `${id}.1`, old);
    const commit = { version: toVersion(id, 1, [descriptor]), jobSerial: 1, staged: [staged] };
    crashAt = 'manifests-in';
    await assert.rejects(test.library.commitPackage(commit), Crash);
    crashAt = undefined;
    await test.library.commitPackage(commit);
    await test.library.removePackage(id);
    crashAt = 'manifests-in';
    const again = await test.stage(id, `${id}.1`, old);
    await assert.rejects(test.library.commitPackage({ ...commit, staged: [again.staged] }), Crash);
    await restart();
    await assert.rejects(test.library.commitPackage(commit), (error) =>
      isErrorWithCode(error, 'CONTENT_NOT_HELD'),
    );
  });

  it('keeps references equal to references in manifests whatever happens (PKG-10)', async () => {
    const packages = ['PS100001', 'PS100002', 'PS100003'];
    const actions = fc.array(
      fc.record({
        packageId: fc.constantFrom(...packages),
        kind: fc.constantFrom('commit', 'commit', 'commit', 'remove', 'sweep', 'lose-index'),
        files: fc.uniqueArray(fc.nat(9), { minLength: 1, maxLength: 6 }),
        crashAt: fc.option(fc.constantFrom(...steps), { freq: 3, nil: undefined }),
      }),
      { minLength: 1, maxLength: 20 },
    );
    await fc.assert(
      fc.asyncProperty(actions, async (list) => {
        crashAt = undefined;
        const model: Model = new Map();
        const newest = new Map<string, number>();
        for (const packageId of packages) await test.library.removePackage(packageId);
        for (const action of list) {
          const { packageId } = action;
          const tree = Object.fromEntries(
            action.files.map((file) => [`f${file}`, Buffer.from(`bytes ${file}`)]),
          );
          const sourceVersion = (newest.get(packageId) ?? 0) + 1;
          crashAt = action.crashAt;
          try {
            if (action.kind === 'commit') {
              newest.set(packageId, sourceVersion);
              await test.commit(packageId, sourceVersion, tree);
            } else if (action.kind === 'remove') await test.library.removePackage(packageId);
            else if (action.kind === 'lose-index') await restart({ loseIndex: true });
            else {
              await clock.advance(60_000);
              await test.library.sweep();
            }
          } catch (error) {
            assert.ok(error instanceof Crash, String(error));
            await restart();
          }
          crashAt = undefined;
          // What is visible now is the old state or the new one; the model follows it.
          const held = await test.library.getPackage(packageId);
          if (!held) model.delete(packageId);
          else if (held.sourceVersion === sourceVersion && action.kind === 'commit') {
            model.set(packageId, { sourceVersion, tree });
          }
          await assertHolds(test, model);
        }
      }),
      { numRuns: 8 },
    );
  }).timeout(120_000);
});
