import assert from 'node:assert/strict';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from './temporary-directory.ts';

describe('TemporaryDirectory', () => {
  it('is there while it is used, and gone with all that is in it', async () => {
    let path = '';
    {
      await using directory = await TemporaryDirectory.create();
      path = directory.path;
      await mkdir(directory.join('a', 'b'), { recursive: true });
      await writeFile(directory.join('a', 'b', 'c'), 'x');
      await chmod(directory.join('a', 'b', 'c'), 0o400);
    }
    await assert.rejects(stat(path), { code: 'ENOENT' });
  });
});
