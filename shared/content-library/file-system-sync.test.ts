import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { syncDirectories, syncFileSystem, syncFiles } from './file-system-sync.ts';
import { freeBytesOf, toWriteFailure } from './library-failure.ts';

describe('file system sync', () => {
  let directory: TemporaryDirectory;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(async () => directory[Symbol.asyncDispose]());

  for (const count of [0, 1, 16, 17, 50]) {
    it(`syncs ${count} files and directories, also when some are renamed away`, async () => {
      const paths = Array.from({ length: count }, (_, index) => directory.join(`f${index}`));
      for (const path of paths.slice(1)) await writeFile(path, path);
      await syncFiles(directory.path, paths);
      const directories = paths.map((path) => `${path}.d`);
      for (const path of directories.slice(1)) await mkdir(path);
      await syncDirectories(directory.path, directories);
    });
  }

  it('fails when the file system cannot be synced: nothing may be taken as written', async () => {
    await assert.rejects(syncFileSystem(directory.join('none')), /could not be synced/);
    const paths = Array.from({ length: 17 }, (_, index) => directory.join(`f${index}`));
    await assert.rejects(syncFiles(directory.join('none'), paths), /could not be synced/);
  });

  it('fails when one file cannot be synced', async () => {
    // A process has no more to sync there than a memory file system would: the call is refused.
    await assert.rejects(syncFiles('/proc', ['/proc/self/status']), { code: 'EINVAL' });
  });
});

describe('library failure', () => {
  it('says how much is free when a disk is full', () => {
    for (const code of ['ENOSPC', 'EDQUOT']) {
      const failure = toWriteFailure(Object.assign(new Error(), { code }), '/none/there', 77);
      assert.ok(isErrorWithCode(failure, 'DISK_FULL') && failure.details.code === 'DISK_FULL');
      const { freeBytes, ...rest } = failure.details;
      assert.deepEqual(rest, { code: 'DISK_FULL', path: '/none/there', neededBytes: 77 });
      // Others write to that disk, too: about as much as is free now.
      const ratio = freeBytes / freeBytesOf('/');
      assert.ok(ratio > 0.5 && ratio < 2, `${freeBytes} bytes`);
    }
  });

  it('keeps any other failure', () => {
    const error = Object.assign(new Error(), { code: 'EIO' });
    assert.equal(toWriteFailure(error, '/', 0), error);
  });
});
