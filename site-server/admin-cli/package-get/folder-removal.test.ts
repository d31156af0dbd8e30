import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../../../shared/testing/temporary-directory.ts';
import { removeFolder } from './folder-removal.ts';

describe('the removal of a work folder', () => {
  it('takes directories that forbid to write, follows no link, and is fine with nothing', async () => {
    await using directory = await TemporaryDirectory.create();
    await mkdir(directory.join('kept'));
    await mkdir(directory.join('a', 'b', 'c'), { recursive: true });
    await writeFile(directory.join('a', 'b', 'c', 'file'), '');
    await symlink(directory.join('kept'), directory.join('a', 'b', 'link'));
    for (const names of [['a', 'b', 'c'], ['a', 'b'], ['a']]) {
      await chmod(directory.join(...names), 0o500);
    }
    await removeFolder(directory.join('a'));
    await removeFolder(directory.join('a'));
    assert.ok(!existsSync(directory.join('a')));
    assert.ok(existsSync(directory.join('kept')));
  });
});
