import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  renameSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pieceCountOf } from '../domain/content.ts';
import { type ErrorCode, isErrorWithCode } from '../domain/errors.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { TestLibrary, toVersion } from '../testing/test-library.ts';
import { hashOf } from './content-hash.ts';
import { FileLibrary } from './file-library.ts';
import { FileVerification } from './file-verification.ts';
import { filePathOf, shardOf } from './library-layout.ts';
import type { DamagedFile, LibraryTasks } from './library-tasks.ts';
import { ManifestWriter } from './manifest-writer.ts';
import type { PackageCommit } from './package-commit.ts';
import { WorkerPool } from './worker-pool.ts';

const packageId = 'PS100001';
const otherId = 'PS100002';
const good = Buffer.from('good bytes');
const evil = Buffer.from('evil bytes');

/** In which another file comes between the look at a damaged one and its deletion. */
class OvertakenFileLibrary extends FileLibrary {
  overtake = () => {};

  override removeDamaged(damaged: readonly DamagedFile[]): Promise<readonly string[]> {
    if (damaged.length > 0) this.overtake();
    return super.removeDamaged(damaged);
  }
}

describe('verification of library files', function () {
  this.timeout(30_000);
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

  const pathOf = (hash: string) => filePathOf(test.library.layout.fileLibrary, hash);
  const rot = () => writeFileSync(pathOf(hashOf(good)), evil);
  const goodFile = { hash: hashOf(good), sizeBytes: good.length };
  const code = (expected: ErrorCode) => (error: unknown) => isErrorWithCode(error, expected);

  async function restart(): Promise<void> {
    await test[Symbol.asyncDispose]();
    test = await TestLibrary.open({ directory: directory.path });
  }

  /** A version that uses the good file and brings none of its bytes. */
  async function stageSharing(id: string, sourceVersion: number): Promise<PackageCommit> {
    const staging = test.library.stagingDirectoryOf(id);
    mkdirSync(staging, { recursive: true });
    const contentId = `${id}.${sourceVersion}`;
    const manifestPath = join(staging, 'manifest');
    const staged = { contentId, manifestPath, signaturePath: join(staging, 'signature') };
    const { hash, sizeBytes } = goodFile;
    return commitOf(id, sourceVersion, staged, { hash, sizeBytes });
  }

  function commitOf(
    id: string,
    sourceVersion: number,
    staged: { contentId: string; manifestPath: string; signaturePath: string },
    file: { hash: string; sizeBytes: number },
  ): PackageCommit {
    using writer = new ManifestWriter(staged);
    const attributes = { depth: 0, name: 'f', mode: 0o644, mtimeNs: '0' };
    const pieceCount = file.sizeBytes > 2 ** 20 ? pieceCountOf(file.sizeBytes) : 0;
    writer.addFile({ type: 'file', ...attributes, ...file }, Buffer.alloc(32 * pieceCount));
    const version = toVersion(id, sourceVersion, [writer.finish()]);
    return { version, jobSerial: 2, staged: [staged] };
  }

  it('never shows a version with a shared file that has rotted: it is discarded, and comes again', async () => {
    await test.commit(packageId, 1, { f: good });
    await restart();
    rot();
    const commit = await stageSharing(otherId, 1);
    await assert.rejects(test.library.commitPackage(commit), (error) => {
      assert.ok(isErrorWithCode(error, 'CONTENT_INCOMPLETE'));
      const { details } = error;
      return details.code === 'CONTENT_INCOMPLETE' && details.missingFiles === 1;
    });
    assert.equal(await test.library.getPackage(otherId), undefined);
    assert.deepEqual(await test.library.areHeld([goodFile]), [false]);

    await test.adopt(otherId, [good]);
    await test.library.commitPackage(commit);
    for (const id of [packageId, otherId]) {
      await test.library.extractPackage(id, directory.join(`out-${id}`));
    }
  });

  it('shows a version with a shared file that is as it was, hashed once', async () => {
    await test.commit(packageId, 1, { f: good });
    await restart();
    await test.library.commitPackage(await stageSharing(otherId, 1));
    // Were it hashed again, this would be found.
    rot();
    await test.library.commitPackage(await stageSharing('PS100003', 1));
    assert.deepEqual(await test.library.areHeld([goodFile]), [true]);
  });

  it('does not read again what an update leaves as it is', async () => {
    await test.commit(packageId, 1, { f: good });
    await restart();
    rot();
    await test.library.commitPackage(await stageSharing(packageId, 2));
    assert.deepEqual(await test.library.areHeld([goodFile]), [true]);
  });

  it('hashes for a package that was removed and comes back', async () => {
    await test.commit(packageId, 1, { f: good });
    await restart();
    await test.library.removePackage(packageId);
    rot();
    const commit = await stageSharing(packageId, 2);
    await assert.rejects(test.library.commitPackage(commit), code('CONTENT_INCOMPLETE'));
  });

  it('does not count as verified what was left in place because nothing was staged', async () => {
    await test.commit(packageId, 1, { f: good });
    await restart();
    rot();
    await test.library.adoptFiles([{ ...goodFile, path: directory.join('nothing') }]);
    const commit = await stageSharing(otherId, 1);
    await assert.rejects(test.library.commitPackage(commit), code('CONTENT_INCOMPLETE'));
  });

  it('discards what is damaged, and nothing else', async () => {
    const right = Buffer.from('right');
    const lost = { hash: hashOf(Buffer.from('lost')), sizeBytes: 4 };
    await test.adopt(packageId, [good, right]);
    rot();
    const rightFile = { hash: hashOf(right), sizeBytes: right.length };
    const asked = [goodFile, rightFile, lost, goodFile];
    assert.deepEqual(await test.library.discardDamaged(asked), [goodFile.hash]);
    assert.deepEqual(await test.library.areHeld([goodFile, rightFile]), [false, true]);
  });

  /** What discarding the good file's copy comes to when this happens before its first deletion. */
  async function discardOvertaken(overtake: () => void) {
    const { fileLibrary } = test.library.layout;
    const pool = new WorkerPool<LibraryTasks>(new URL('./library-worker.js', import.meta.url), 1);
    const files = new OvertakenFileLibrary(fileLibrary, pool, test.library.upkeep.quarantine);
    files.verified.add(goodFile.hash);
    files.overtake = () => {
      files.overtake = () => {};
      overtake();
    };
    const { signal: stopping } = new AbortController();
    const { threads } = test.library;
    const { logger } = test.log;
    const verification = new FileVerification({ files, fileLibrary, threads, stopping, logger });
    const discarded = await verification.discardDamaged([goodFile]);
    await pool.stop();
    return { discarded, isVerified: files.verified.has(goodFile.hash) };
  }

  it('never discards a right file that takes the place of a damaged one meanwhile', async () => {
    await test.adopt(packageId, [good]);
    rot();
    const { discarded, isVerified } = await discardOvertaken(() => {
      writeFileSync(directory.join('arrived'), good);
      renameSync(directory.join('arrived'), pathOf(goodFile.hash));
    });
    assert.deepEqual(discarded, []);
    assert.ok(isVerified, 'what stands there now was hashed, too');
    assert.deepEqual(await test.library.areHeld([goodFile]), [true]);
  });

  it('looks again at a damaged file that was only touched, although it was right once', async () => {
    await test.adopt(packageId, [good]);
    rot();
    const { discarded } = await discardOvertaken(() => utimesSync(pathOf(goodFile.hash), 1, 1));
    assert.deepEqual(discarded, [goodFile.hash]);
    assert.ok(!existsSync(pathOf(goodFile.hash)));
  });

  it('lets others commit while a large file is hashed, and ends with the library', async () => {
    // Of zeros, which take no room; hashing it takes far longer than the other commit.
    const file = { hash: 'ab'.repeat(32), sizeBytes: 32 * 2 ** 30 };
    mkdirSync(join(test.library.layout.fileLibrary, shardOf(file.hash)));
    writeFileSync(pathOf(file.hash), '');
    truncateSync(pathOf(file.hash), file.sizeBytes);
    const staging = test.library.stagingDirectoryOf(packageId);
    mkdirSync(staging);
    const paths = { manifestPath: join(staging, 'm'), signaturePath: join(staging, 's') };
    const commit = commitOf(packageId, 1, { contentId: `${packageId}.1`, ...paths }, file);
    const committing = test.library.commitPackage(commit);
    committing.catch(() => {});
    await test.commit(otherId, 1, { f: good });
    await test.library.stop();
    await assert.rejects(committing, isAbortError);
    assert.ok(existsSync(pathOf(file.hash)), 'what was not hashed to its end stays');
  });
});
