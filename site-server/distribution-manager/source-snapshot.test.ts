import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
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
import { isErrorWithCode } from '../../shared/domain/errors.ts';
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
