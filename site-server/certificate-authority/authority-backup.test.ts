import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { backUpAuthority, restoreAuthority } from './authority-backup.ts';
import { askedWithNewKey, inAuthority, TestAuthority } from './testing/test-authority.ts';

const passphrase = 'correct horse battery staple';

describe('backup of the authority', () => {
  let files: TestAuthority;
  const path = () => files.place.join('backup.json');
  const backUp = (options: { passphrase?: string } = {}) =>
    backUpAuthority({
      ...{ directory: files.directory, siteCode: 'CS1', path: path(), nowMs: 1_000 },
      ...options,
    });
  const restore = (options: { passphrase?: string; siteCode?: string } = {}) =>
    restoreAuthority({ directory: files.directory, siteCode: 'CS1', path: path(), ...options });
  const lose = () => rename(files.directory, files.place.join('lost'));
  const contentOf = async (directory: string) => {
    const content: Record<string, string> = {};
    for (const name of (await readdir(directory)).toSorted()) {
      content[name] = await readFile(`${directory}/${name}`, 'utf8');
    }
    return content;
  };

  beforeEach(async () => {
    files = await TestAuthority.make({ clock: new FakeClock() });
  });
  afterEach(() => files[Symbol.asyncDispose]());

  for (const [words, secret] of [
    ['without a passphrase', undefined],
    ['with one', passphrase],
  ] as const) {
    it(`brings everything back ${words}`, async () => {
      const before = await contentOf(files.directory);
      const options = secret === undefined ? {} : { passphrase: secret };
      await backUp(options);
      assert.equal((await stat(path())).mode & 0o777, 0o600);
      await lose();
      await restore(options);
      assert.deepEqual(await contentOf(files.directory), before);
      assert.equal((await stat(files.directory)).mode & 0o777, 0o700);
      const authority = await files.open();
      const { request } = await askedWithNewKey();
      await authority.issueSiteAuthority('PS1', request);
    });
  }

  it('shows no key when it is encrypted, and none to another passphrase', async () => {
    await backUp({ passphrase });
    const { content } = JSON.parse(await readFile(path(), 'utf8')) as { content: string };
    assert.ok(!Buffer.from(content, 'base64').includes('PRIVATE KEY'));
    await lose();
    const wrong = restore({ passphrase: `${passphrase}!` });
    await assert.rejects(wrong, (error: Error) => {
      assert.match(error.message, /passphrase is not the one/);
      assert.ok(!error.message.includes('horse'));
      return true;
    });
    await assert.rejects(restore(), /it is encrypted; name the file .*--passphrase-file/);
    await assert.rejects(stat(files.directory), { code: 'ENOENT' });
  });

  it('overwrites nothing: no file, no authority', async () => {
    await backUp();
    await assert.rejects(backUp(), { code: 'AUTHORITY_CONFLICT', message: /there already/ });
    await assert.rejects(restore(), {
      code: 'AUTHORITY_CONFLICT',
      message: /there is an authority already/,
    });
  });

  it('is refused when it is damaged, of another site, or something else', async () => {
    await backUp();
    const sound = await readFile(path(), 'utf8');
    await lose();
    await assert.rejects(restore({ siteCode: 'CS2' }), /it is the backup of site CS1/);
    const backup = JSON.parse(sound) as { content: string; sha256: string };
    const flipped = Buffer.from(backup.content, 'base64');
    flipped[100] = (flipped[100] ?? 0) ^ 1;
    const damaged = { ...backup, content: flipped.toString('base64') };
    for (const [text, reason] of [
      [JSON.stringify(damaged), /it is damaged/],
      [sound.slice(0, 200), /not a backup/],
      ['{}', /not a backup/],
      ['', /not a backup/],
    ] as const) {
      await writeSecretFile(path(), text);
      await assert.rejects(restore(), { code: 'CERTIFICATE_INVALID', message: reason });
    }
    await rm(path());
    await assert.rejects(restore(), /no such file/);
    await assert.rejects(stat(files.directory), { code: 'ENOENT' });
  });

  it('writes no file but its own, whatever it names', async () => {
    await backUp();
    await lose();
    const backup = JSON.parse(await readFile(path(), 'utf8')) as object;
    for (const name of ['../evil', '/tmp/evil', 'root-0123.key', 'authority.pem/x', '']) {
      const bytes = Buffer.from(JSON.stringify({ [name]: 'text' }));
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const forged = { ...backup, content: bytes.toString('base64'), sha256 };
      await writeSecretFile(path(), JSON.stringify(forged));
      await assert.rejects(restore(), /not a backup/);
    }
    await assert.rejects(stat(files.place.join('evil')), { code: 'ENOENT' });
  });

  it('goes on after a crash in the middle of putting it back', async () => {
    const before = await contentOf(files.directory);
    await backUp();
    await lose();
    await mkdir(`${files.directory}.new`, { mode: 0o700 });
    await writeSecretFile(`${files.directory}.new/authority.pem`, 'half');
    await restore();
    assert.deepEqual(await contentOf(files.directory), before);
  });

  it('is refused when others may read it, and below the top', async () => {
    await backUp();
    await chmod(path(), 0o644);
    await assert.rejects(
      restoreAuthority({ directory: files.place.join('other'), siteCode: 'CS1', path: path() }),
      /mode 0644/,
    );
    await rm(inAuthority(files, 'trust-bundle.json'));
    await rm(path());
    await assert.rejects(backUp(), { code: 'AUTHORITY_CONFLICT', message: /only the top site/ });
  });
});
