import assert from 'node:assert/strict';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { callAsLesserUser } from '../../shared/testing/lesser-user.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { checkedSources } from './source-check.ts';

describe('The check of source directories', () => {
  let directory: TemporaryDirectory;
  let own: string;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    own = directory.join('site');
    for (const name of ['a', 'b', 'a-b', 'site', 'site/library', 'a/inner']) {
      await mkdir(directory.join(name));
    }
    await writeFile(directory.join('file'), '');
    await symlink(directory.join('a'), directory.join('to-a'));
    await symlink(directory.join('site'), directory.join('to-site'));
  });

  afterEach(() => directory[Symbol.asyncDispose]());

  function check(...names: string[]): Promise<string[]> {
    return checkedSources(
      names.map((name) => directory.join(name)),
      [own],
    );
  }

  it('takes directories that stand beside each other, and links to such', async () => {
    assert.deepEqual(
      await check('a', 'b', 'a-b'),
      ['a', 'b', 'a-b'].map((n) => directory.join(n)),
    );
    assert.deepEqual(await check('to-a', 'b'), [directory.join('to-a'), directory.join('b')]);
  });

  it('gives paths without detours', async () => {
    const detour = `${directory.path}//b/../a/./`;
    assert.deepEqual(await checkedSources([detour], [own]), [directory.join('a')]);
  });

  it('refuses what is not there or is no directory (PKG-3)', async () => {
    await assert.rejects(check('absent'), { code: 'SOURCE_MISSING' });
    await assert.rejects(check('file'), { code: 'SOURCE_MISSING' });
    await assert.rejects(check('file/x'), { code: 'SOURCE_MISSING' });
  });

  it('refuses what cannot be read (PKG-3)', async () => {
    const path = directory.join('b');
    const module = new URL('./source-check.js', import.meta.url).href;
    const checkIt = () =>
      callAsLesserUser({ module, name: 'checkedSources', words: [[path], [own]] });
    await chmod(directory.path, 0o755);
    assert.deepEqual(await checkIt(), [path]);
    // Neither, and one without the other: names that can be read lead nowhere then.
    for (const mode of [0o000, 0o444, 0o333]) {
      await chmod(path, mode);
      const reason = 'EACCES';
      await assert.rejects(checkIt(), {
        code: 'SOURCE_UNREADABLE',
        details: { code: 'SOURCE_UNREADABLE', path, reason },
      });
    }
  });

  const bad = {
    'a relative path': ['a/b'],
    'an empty path': [''],
    'a path with NUL': ['/a\0b'],
    'a path that is too long': [`/${'x'.repeat(4_095)}`],
    'no directory': [],
    'too many': new Array(101).fill('/a'),
  };
  for (const [what, directories] of Object.entries(bad)) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(checkedSources(directories, [own]), { code: 'REQUEST_INVALID' });
    });
  }

  it('refuses directories that overlap, also through links', async () => {
    for (const pair of [
      ['a', 'a'],
      ['a', 'a/inner'],
      ['a/inner', 'a'],
      ['a', 'to-a'],
    ]) {
      await assert.rejects(check(...pair), { code: 'REQUEST_INVALID' }, pair.join());
    }
  });

  it("refuses the site's own files, what is in them and what is around them", async () => {
    for (const name of ['site', 'site/library', 'to-site', '']) {
      await assert.rejects(check(name), { code: 'REQUEST_INVALID' }, name);
    }
    await assert.rejects(checkedSources(['/'], [own]), { code: 'REQUEST_INVALID' });
  });
});
