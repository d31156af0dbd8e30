import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import {
  filePathOf,
  manifestPathOf,
  signaturePathOf,
} from '../../shared/content-library/library-layout.ts';
import type { IndexedEntry } from '../../shared/content-library/manifest-reader.ts';
import { openManifest } from '../../shared/content-library/manifest-reader.ts';
import { type FileEntry, pieceBytes } from '../../shared/domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../../shared/domain/errors.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { pieceHashesOf, TestLibrary, toVersion } from '../../shared/testing/test-library.ts';
import { type SnapshotContent, takeSnapshot } from './source-snapshot.ts';
import { packageId, run, SnapshotTest } from './testing/snapshot-test.ts';

describe('source snapshot', function () {
  this.timeout(60_000);
  let test: SnapshotTest;
  beforeEach(async () => {
    test = await SnapshotTest.open();
  });
  afterEach(() => test[Symbol.asyncDispose]());

  async function entriesOf(content: SnapshotContent): Promise<IndexedEntry[]> {
    const entries = [];
    for await (const batch of openManifest(content.manifestPath, content.descriptor).entries()) {
      entries.push(...batch);
    }
    return entries;
  }

  async function assertRefused(code: ErrorCode, facts: Record<string, unknown>): Promise<void> {
    await assert.rejects(test.snapshot(), (error) => {
      assert.ok(isErrorWithCode(error, code), String(error));
      for (const [name, value] of Object.entries(facts)) {
        const actual: unknown = Object.entries(error.details).find(([fact]) => fact === name)?.[1];
        if (value instanceof RegExp) assert.match(String(actual), value);
        else assert.equal(actual, value);
      }
      return true;
    });
    assert.deepEqual(readdirSync(test.library.layout.staging), [], 'nothing stays staged');
    assert.equal(await test.library.getPackage(packageId), undefined);
  }

  it('writes down size, mode, time, hash and piece hashes of a tree (PKG-2)', async () => {
    const big = Buffer.alloc(2 * pieceBytes + 5, 'big');
    writeFileSync(join(test.source, 'big'), big);
    writeFileSync(join(test.source, 'edge'), big.subarray(0, pieceBytes));
    mkdirSync(join(test.source, 'empty'));
    writeFileSync(join(test.source, 'zero'), '');
    chmodSync(join(test.source, 'big'), 0o4750);
    const content = await test.snapshot();
    const entries = await entriesOf(content);
    assert.deepEqual(
      entries.map(({ entry, signatureOffset }) => [entry.type, entry.name, signatureOffset]),
      [
        ['file', 'big', 0],
        ['file', 'edge', 96],
        ['directory', 'empty', 96],
        ['file', 'zero', 96],
      ],
    );
    const file = entries[0]?.entry as FileEntry;
    const { mtimeNs } = statSync(join(test.source, 'big'), { bigint: true });
    assert.deepEqual(file, {
      type: 'file',
      depth: 0,
      name: 'big',
      sizeBytes: big.length,
      mode: 0o4750,
      mtimeNs: String(mtimeNs),
      hash: hashOf(big),
    });
    assert.deepEqual(readFileSync(content.signaturePath), pieceHashesOf(big));
    const { entryCount, fileCount, sizeBytes } = content.descriptor;
    assert.deepEqual([entryCount, fileCount, sizeBytes], [4, 3, 3 * pieceBytes + 5]);
    const held = entries.flatMap(({ entry }) => (entry.type === 'file' ? [entry] : []));
    assert.deepEqual(await test.library.areHeld(held), [true, true, true]);
  });

  it('takes a directory for each content of an application, and adds up the progress', async () => {
    const directories = ['x86', 'x64'].map((name) => test.directory.join(name));
    for (const path of directories) {
      mkdirSync(path);
      writeFileSync(join(path, 'setup'), path);
    }
    const seen: number[] = [];
    const { contents } = await takeSnapshot({
      library: test.library,
      packageId,
      ownPlaces: [],
      sources: directories.map((path, index) => ({ directory: path, contentId: `app-${index}` })),
      onProgress: ({ fileCount }) => seen.push(fileCount),
    });
    assert.deepEqual(
      contents.map(({ descriptor }) => descriptor.contentId),
      ['app-0', 'app-1'],
    );
    assert.equal(seen.at(-1), 2);
    const version = toVersion(
      packageId,
      1,
      contents.map(({ descriptor }) => descriptor),
    );
    const staged = contents.map((content) => ({
      ...content,
      contentId: content.descriptor.contentId,
    }));
    await test.library.commitPackage({ version, jobSerial: 1, staged });
    await test.library.extractPackage(packageId, test.directory.join('out'));
    assert.equal(
      readFileSync(test.directory.join('out', 'app-1', 'setup'), 'utf8'),
      directories[1],
    );
  });

  it('reads again what the library lost of a source that is unchanged', async () => {
    const files = [Buffer.alloc(2 * pieceBytes, 'big'), Buffer.from('small')];
    writeFileSync(join(test.source, 'big'), files[0]!);
    writeFileSync(join(test.source, 'small'), files[1]!);
    const first = await test.snapshot();
    await test.commit(first);
    const held = files.map((bytes) => ({ hash: hashOf(bytes), sizeBytes: bytes.length }));
    for (const { hash, sizeBytes } of held) {
      const path = filePathOf(test.library.layout.fileLibrary, hash);
      chmodSync(path, 0o644);
      writeFileSync(path, Buffer.alloc(sizeBytes, 'rot'));
    }
    assert.equal((await test.library.discardDamaged(held)).length, 2);
    assert.equal((await test.snapshot(first.descriptor)).unchanged, true);
    assert.deepEqual(await test.library.areHeld(held), [true, true]);
    await test.library.extractPackage(packageId, test.directory.join('out'));
  });

  it('is not done with an unchanged source of which the library loses a file meanwhile', async () => {
    writeFileSync(join(test.source, 'a'), 'a');
    const first = await test.snapshot();
    await test.commit(first);
    const { library } = test;
    const losing = Object.create(library, {
      layout: { value: library.layout },
      threads: { value: library.threads },
      openContent: { value: library.openContent.bind(library) },
      stagingDirectoryOf: { value: library.stagingDirectoryOf.bind(library) },
      areHeld: { value: async (files: readonly unknown[]) => files.map(() => false) },
    }) as typeof library;
    const sources = [
      { directory: test.source, contentId: `${packageId}.2`, previous: first.descriptor },
    ];
    await assert.rejects(
      takeSnapshot({ library: losing, packageId, sources, ownPlaces: [] }),
      (error) => isErrorWithCode(error, 'CONTENT_INCOMPLETE'),
    );
  });

  it('writes anew what an unchanged source became when that is damaged in the library', async () => {
    writeFileSync(join(test.source, 'big'), Buffer.alloc(2 * pieceBytes, 'big'));
    for (const path of ['manifestPathOf', 'signaturePathOf'] as const) {
      const first = await test.snapshot();
      await test.commit(first);
      const { contentId } = first.descriptor;
      const damaged = { manifestPathOf, signaturePathOf }[path](
        test.library.layout.dataLibrary,
        contentId,
      );
      const bytes = readFileSync(damaged);
      bytes[bytes.length - 4] = 1;
      writeFileSync(damaged, bytes);
      const second = await test.snapshot(first.descriptor);
      assert.equal(second.unchanged, false);
      await test.commit(second);
    }
  });

  it('says that a source is unchanged, and keeps its content (PKG-5)', async () => {
    writeFileSync(join(test.source, 'big'), Buffer.alloc(3 * pieceBytes, 1));
    writeFileSync(join(test.source, 'small'), 'one');
    const first = await test.snapshot();
    assert.equal(first.unchanged, false);
    await test.commit(first);
    const second = await test.snapshot(first.descriptor);
    assert.equal(second.unchanged, true);
    assert.deepEqual(second.descriptor, first.descriptor);
    await test.commit(second);
    writeFileSync(join(test.source, 'small'), 'two');
    const third = await test.snapshot(first.descriptor);
    assert.equal(third.unchanged, false);
    await test.commit(third);
  });

  it('finds a changed file of the same place, size and time, and stages only that', async () => {
    const big = Buffer.alloc(3 * pieceBytes, 1);
    for (const name of ['d1', 'd2']) {
      mkdirSync(join(test.source, name));
      writeFileSync(join(test.source, name, 'big'), Buffer.concat([big, Buffer.from(name)]));
    }
    const first = await test.snapshot();
    await test.commit(first);
    const path = join(test.source, 'd2', 'big');
    const { atime, mtime } = statSync(path);
    const file = openSync(path, 'r+');
    writeSync(file, 'x', 2 * pieceBytes);
    closeSync(file);
    utimesSync(path, atime, mtime);
    // A directory more, so that the two trees are not alike place by place.
    mkdirSync(join(test.source, 'a'));
    const second = await test.snapshot(first.descriptor);
    const entries = await entriesOf(second);
    const files = entries.flatMap(({ entry }) => (entry.type === 'file' ? [entry] : []));
    assert.deepEqual(
      files.map(({ hash }) => hash),
      ['d1', 'd2'].map((name) => hashOf(readFileSync(join(test.source, name, 'big')))),
    );
    assert.deepEqual(await test.library.areHeld(files), [true, true]);
    await test.commit(second);
  });

  it('stages what the library lost again', async () => {
    writeFileSync(join(test.source, 'big'), Buffer.alloc(2 * pieceBytes, 1));
    writeFileSync(join(test.source, 'small'), 'one');
    const first = await test.snapshot();
    await test.commit(first);
    rmSync(test.library.layout.fileLibrary, { recursive: true });
    mkdirSync(test.library.layout.fileLibrary);
    const second = await test.snapshot(first.descriptor);
    assert.equal(second.unchanged, true);
    await test.commit(second);
  });

  it('keeps equal files once (PKG-10)', async () => {
    for (const name of ['a', 'b', 'c'])
      writeFileSync(join(test.source, name), Buffer.alloc(pieceBytes + 1));
    for (const name of ['d', 'e', 'f']) writeFileSync(join(test.source, name), 'equal');
    const content = await test.snapshot();
    assert.equal(content.descriptor.fileCount, 6);
    assert.equal(readdirSync(test.library.layout.fileLibrary).length, 2);
  });

  it('throws away what an earlier snapshot left staged', async () => {
    const staging = test.library.stagingDirectoryOf(packageId);
    const hash = hashOf(Buffer.from('good'));
    mkdirSync(join(staging, 'files', hash.slice(0, 2)), { recursive: true });
    writeFileSync(join(staging, 'files', hash.slice(0, 2), hash), 'evil');
    writeFileSync(join(test.source, 'a'), 'good');
    await test.commit(await test.snapshot());
    await using file = await test.library.openFile({ hash, sizeBytes: 4 });
    assert.equal(await file.readFile('utf8'), 'good');
  });

  describe('refuses, with the path named and nothing published (PKG-3):', () => {
    const inner = () => join(test.source, 'in', 'thing');
    beforeEach(() => {
      mkdirSync(join(test.source, 'in'));
      writeFileSync(join(test.source, 'in', 'fine'), 'fine');
    });

    it('a source that is not there, not a directory, or not absolute', async () => {
      const root = test.source;
      for (const path of [join(root, 'none'), join(root, 'in', 'fine'), 'relative']) {
        test.source = path;
        await assertRefused('SOURCE_MISSING', { path });
      }
    });

    it('an empty source', async () => {
      rmSync(join(test.source, 'in'), { recursive: true });
      await assertRefused('SOURCE_EMPTY', { path: test.source });
    });

    it('a source in the content library, or around it', async () => {
      const root = test.source;
      for (const path of [
        test.library.layout.fileLibrary,
        test.library.layout.directory,
        test.directory.path,
      ]) {
        test.source = path;
        await assertRefused('SOURCE_UNREADABLE', { path, reason: /content library/ });
      }
      symlinkSync(test.library.layout.fileLibrary, join(root, 'link'));
      test.source = join(root, 'link');
      await assertRefused('SOURCE_UNREADABLE', {
        path: test.source,
        reason: /in the content library/,
      });
    });

    it('a named pipe, without waiting for a writer', async () => {
      run('mkfifo', inner());
      await assertRefused('SOURCE_FILE_TYPE', { path: inner(), fileType: 'named pipe' });
    });

    it('a socket', async () => {
      const server = createServer().listen(inner());
      await once(server, 'listening');
      await assertRefused('SOURCE_FILE_TYPE', { path: inner(), fileType: 'socket' });
      server.close();
    });

    it('a device', async function () {
      // Only root can make one.
      if (process.getuid?.() !== 0) return this.skip();
      run('mknod', inner(), 'c', '1', '3');
      return assertRefused('SOURCE_FILE_TYPE', { path: inner(), fileType: 'character device' });
    });

    for (const target of ['/etc/passwd', '../../outside', '../../../..', '..//../x']) {
      it(`a link to ${target}`, async () => {
        symlinkSync(target, inner());
        await assertRefused('SOURCE_SYMLINK_LEAVES_TREE', { path: inner(), target });
      });
    }

    it('a link with ".." after a name, which may lead anywhere', async () => {
      symlinkSync('fine/../../..', inner());
      await assertRefused('SOURCE_NAME_REFUSED', { path: inner(), reason: /after a name/ });
    });

    it('a name that is not UTF-8', async () => {
      writeFileSync(Buffer.concat([Buffer.from(`${test.source}/in/a`), Buffer.from([0xff])]), '');
      await assertRefused('SOURCE_NAME_REFUSED', {
        path: `${test.source}/in/a\ufffd`,
        reason: /UTF-8/,
      });
    });

    it('a link target that is not UTF-8', async () => {
      symlinkSync(Buffer.from([0x61, 0xff]), inner());
      await assertRefused('SOURCE_NAME_REFUSED', { path: inner(), reason: /UTF-8/ });
    });

    it('two names that are one after Unicode normalisation', async () => {
      writeFileSync(join(test.source, 'in', 'e\u0301'), '');
      writeFileSync(join(test.source, 'in', '\u00e9'), '');
      await assertRefused('SOURCE_NAME_REFUSED', {
        path: join(test.source, 'in', '\u00e9'),
        reason: /normalised/,
      });
    });

    it('what may not be read', async function () {
      const path = join(test.source, 'in', 'fine');
      chmodSync(path, 0);
      // Root may read everything: there the reader runs as nobody.
      if (process.getuid?.() === 0) return this.skip();
      await assertRefused('SOURCE_UNREADABLE', { path, reason: 'EACCES' });
    });

    it('a file that is never what it said it was, three times', async () => {
      // Files of the kernel say that they are empty, and are not.
      test.source = '/proc/sys/kernel/random';
      await assertRefused('SOURCE_CHANGED', { path: `${test.source}/boot_id`, tries: 3 });
    });
  });

  describe("takes nothing of the site's own files, whatever leads there:", () => {
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

    beforeEach(() => {
      own = test.directory.join('data');
      key = join(own, 'authority', 'root.key');
      mkdirSync(join(own, 'authority'), { recursive: true });
      writeFileSync(key, 'secret');
      writeFileSync(join(test.source, 'setup'), 'setup');
      test.ownPlaces = [own];
    });

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

  it('says that the disk of the site is full, and goes on when there is room', async function () {
    // Only root can mount a small file system.
    if (process.getuid?.() !== 0) return this.skip();
    const small = test.directory.join('small');
    mkdirSync(small);
    run('mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', small);
    const tight = await TestLibrary.open({ directory: small });
    try {
      const filler = join(small, 'filler');
      writeFileSync(filler, Buffer.alloc(8 * pieceBytes));
      writeFileSync(join(test.source, 'a'), Buffer.alloc(5 * pieceBytes, 'a'));
      const take = () =>
        takeSnapshot({
          library: tight.library,
          packageId,
          ownPlaces: [],
          sources: [{ directory: test.source, contentId: 'c' }],
        });
      await assert.rejects(take(), (error) => {
        assert.ok(isErrorWithCode(error, 'DISK_FULL'), String(error));
        assert.equal(
          error.details.code === 'DISK_FULL' && error.details.neededBytes,
          5 * pieceBytes,
        );
        return true;
      });
      assert.deepEqual(readdirSync(tight.library.layout.staging), []);
      rmSync(filler);
      assert.equal((await take()).contents[0]?.descriptor.fileCount, 1);
    } finally {
      await tight[Symbol.asyncDispose]();
      run('umount', small);
    }
  });

  it('stops when it is told to, and leaves nothing staged', async () => {
    const stop = new AbortController();
    writeFileSync(join(test.source, 'big'), '');
    truncateSync(join(test.source, 'big'), 200 * pieceBytes);
    const running = takeSnapshot({
      library: test.library,
      packageId,
      ownPlaces: [],
      sources: [{ directory: test.source, contentId: 'c' }],
      onProgress: () => stop.abort(),
      signal: stop.signal,
    });
    await assert.rejects(running, isAbortError);
    assert.deepEqual(readdirSync(test.library.layout.staging), []);
  });
});
