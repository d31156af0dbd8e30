import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { DataLibrary } from './data-library.ts';

describe('data library', () => {
  it('stages nothing any more that a disk could not make durable, and keeps what it holds', async () => {
    await using directory = await TemporaryDirectory.create();
    const data = new DataLibrary(directory.path);
    const held = {
      contentId: 'a.1',
      manifestPath: data.manifestPathOf('a.1'),
      signaturePath: data.signaturePathOf('a.1'),
    };
    await writeFile(held.manifestPath, 'manifest');
    await writeFile(held.signaturePath, '');
    await using staging = await TemporaryDirectory.create();
    const staged = {
      contentId: 'b.1',
      manifestPath: staging.join('b.manifest'),
      signaturePath: staging.join('b.signature'),
    };
    await writeFile(staged.manifestPath, 'manifest');
    // The call is refused there, as by a disk that lost what was written.
    await symlink('/proc/self/status', staged.signaturePath);

    await assert.rejects(data.sync([held, staged]), { code: 'EINVAL' });
    const isThere = [held, staged].map(({ manifestPath, signaturePath }) =>
      [manifestPath, signaturePath].map((path) => existsSync(path)),
    );
    assert.deepEqual(isThere, [
      [true, true],
      [false, false],
    ]);
  });
});
