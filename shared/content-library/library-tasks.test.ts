import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { hashOf } from './content-hash.ts';
import { filePathOf, shardOf } from './library-layout.ts';
import { libraryTasks } from './library-tasks.ts';

const bytes = Buffer.from('content');
const hash = hashOf(bytes);

describe('adoption of staged files', () => {
  let directory: TemporaryDirectory;
  let fileLibrary: string;
  let staged: { path: string; hash: string; sizeBytes: number };
  const adopt = () => libraryTasks.adopt({ fileLibrary, files: [staged] });
  const notHeld = (error: unknown) => isErrorWithCode(error, 'FILE_NOT_HELD');

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    fileLibrary = directory.join('file-lib');
    await mkdir(fileLibrary);
    staged = { path: directory.join('staged'), hash, sizeBytes: bytes.length };
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  it('makes the shard, and says what is to be synced', async () => {
    await writeFile(staged.path, bytes);
    const shard = `${fileLibrary}/${shardOf(hash)}`;
    assert.deepEqual(adopt(), { directories: [fileLibrary, shard], left: [] });
    assert.deepEqual(await readFile(filePathOf(fileLibrary, hash)), bytes);
    assert.deepEqual(adopt(), { directories: [], left: [hash] }, 'a second time');
  });

  it('refuses a staged file of another size, and leaves the one that is here', async () => {
    await writeFile(staged.path, bytes);
    adopt();
    await writeFile(staged.path, 'cut');
    assert.throws(adopt, notHeld);
    assert.deepEqual(await readFile(filePathOf(fileLibrary, hash)), bytes);
  });

  it('refuses what is neither staged nor here, and what is no file', async () => {
    assert.throws(adopt, notHeld);
    await symlink('/etc/hostname', staged.path);
    assert.throws(adopt, notHeld);
  });

  it('fails where no shard can be made, instead of trying for ever', async () => {
    await writeFile(staged.path, bytes);
    await symlink(directory.join('nowhere/at/all'), `${fileLibrary}/${shardOf(hash)}`);
    assert.throws(adopt, (error) => !notHeld(error));
    assert.deepEqual(await readFile(staged.path), bytes, 'it waits where it is');
  });
});

describe('what is staged for packages nobody works on', () => {
  it('goes, but for what somebody holds', async () => {
    await using directory = await TemporaryDirectory.create();
    const staging = directory.path;
    for (const name of ['PS100001', 'PS100002.held']) await mkdir(directory.join(name));
    const untouchedSinceMs = Number.MAX_SAFE_INTEGER;
    assert.deepEqual(libraryTasks.removeStale({ staging, untouchedSinceMs }), ['PS100001']);
    assert.ok(libraryTasks.oldestWorkMs({ staging }) < Number.POSITIVE_INFINITY);
  });
});
