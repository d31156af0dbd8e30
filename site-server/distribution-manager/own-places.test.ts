import assert from 'node:assert/strict';
import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { takeSnapshot } from './source-snapshot.ts';
import { packageId, SnapshotTest } from './testing/snapshot-test.ts';

describe("a source snapshot takes nothing of the site's own files, whatever leads there:", function () {
  this.timeout(60_000);
  let test: SnapshotTest;
  let own: string;
  let key: string;
  const assertOwn = (running: Promise<unknown>, path: string) =>
    assert.rejects(running, (error) => {
      assert.ok(isErrorWithCode(error, 'SOURCE_UNREADABLE'), String(error));
      assert.equal(error.details.code === 'SOURCE_UNREADABLE' && error.details.path, path);
      assert.match(error.message, /site server's own files/);
      return true;
    });
  /** A snapshot before whose reading, and after whose look at the source, something happens. */
  const whileChanging = (change: () => void) => {
    const { library } = test;
    const run: typeof library.threads.run = (...words) => {
      change();
      return library.threads.run(...words);
    };
    const changing = Object.create(library, {
      layout: { value: library.layout },
      threads: { value: { run } },
      adoptFiles: { value: library.adoptFiles.bind(library) },
      areHeld: { value: library.areHeld.bind(library) },
      stagingDirectoryOf: { value: library.stagingDirectoryOf.bind(library) },
    }) as typeof library;
    const sources = [{ directory: test.source, contentId: 'c' }];
    return takeSnapshot({ library: changing, packageId, sources, ownPlaces: test.ownPlaces });
  };

  beforeEach(async () => {
    test = await SnapshotTest.open();
    own = test.directory.join('data');
    key = join(own, 'authority', 'root.key');
    mkdirSync(join(own, 'authority'), { recursive: true });
    writeFileSync(key, 'secret');
    writeFileSync(join(test.source, 'setup'), 'setup');
    test.ownPlaces = [own];
  });
  afterEach(() => test[Symbol.asyncDispose]());

  it('not when the source became a link to them after it was named', async () => {
    await test.snapshot();
    rmSync(test.source, { recursive: true });
    for (const target of [join(own, 'authority'), own, test.directory.path]) {
      symlinkSync(target, test.source);
      await assert.rejects(test.snapshot(), { code: 'SOURCE_UNREADABLE' }, target);
      rmSync(test.source);
    }
  });

  it('not through a link above the source', async () => {
    mkdirSync(test.directory.join('software'));
    test.source = test.directory.join('software', 'authority');
    rmSync(test.directory.join('software'), { recursive: true });
    symlinkSync(own, test.directory.join('software'));
    await assertOwn(test.snapshot(), test.source);
  });

  it('not when they are single files, which stand in the source', async () => {
    test.source = join(own, 'authority');
    test.ownPlaces = [key];
    await assertOwn(test.snapshot(), test.source);
    symlinkSync(key, test.directory.join('to-key'));
    test.ownPlaces = [test.directory.join('to-key')];
    await assertOwn(test.snapshot(), test.source);
  });

  it('not when a link takes the place of the source between the look at it and the reading', async () => {
    const moved = test.directory.join('moved');
    const running = whileChanging(() => {
      renameSync(test.source, moved);
      symlinkSync(join(own, 'authority'), test.source);
    });
    await assert.rejects(running, { code: 'SOURCE_CHANGED' });
  });

  it('not when a directory of them comes into the source meanwhile', async () => {
    const inner = join(test.source, 'inner');
    await assertOwn(
      whileChanging(() => renameSync(own, inner)),
      inner,
    );
  });

  it('not when a file of them stands in the source under another name', async () => {
    test.ownPlaces = [key];
    linkSync(key, join(test.source, 'other'));
    await assertOwn(test.snapshot(), join(test.source, 'other'));
  });

  it('and reads links inside a source, and sources beside them, as ever', async () => {
    test.source = join(own, '..', 'data-2');
    mkdirSync(test.source);
    writeFileSync(join(test.source, 'setup'), 'setup');
    symlinkSync('setup', join(test.source, 'link'));
    assert.equal((await test.snapshot()).descriptor.entryCount, 2);
    const link = test.directory.join('to-source');
    symlinkSync(test.source, link);
    test.source = link;
    assert.equal((await test.snapshot()).descriptor.entryCount, 2);
  });
});
