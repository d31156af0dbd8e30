import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { DirectoryLock } from './directory-lock.ts';

describe('the lock of a directory', () => {
  it('says whether somebody has it, and makes nothing where it is not', async () => {
    await using directory = await TemporaryDirectory.create();
    const store = directory.join('store');
    assert.equal(await DirectoryLock.holderOf(store), undefined);
    assert.deepEqual(await readdir(directory.path), []);
    const lock = await DirectoryLock.take(store);
    assert.equal(await DirectoryLock.holderOf(store), `process ${process.pid}`);
    await lock.release();
    assert.equal(await DirectoryLock.holderOf(store), undefined);
  });

  it('says who has it, and never writes that through a link', async () => {
    await using directory = await TemporaryDirectory.create();
    const store = directory.join('store');
    const pid = directory.join('store.lock', 'pid');
    await (await DirectoryLock.take(store)).release();
    assert.equal(await readFile(pid, 'utf8'), `${process.pid}\n`);
    const other = directory.join('other');
    await mkdir(`${other}.lock`);
    await writeFile(directory.join('passwd'), 'root');
    await symlink(directory.join('passwd'), directory.join('other.lock', 'pid'));
    await (await DirectoryLock.take(other)).release();
    assert.equal(await readFile(directory.join('passwd'), 'utf8'), 'root');
  });
});
