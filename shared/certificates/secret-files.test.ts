import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import {
  makeSecretDirectory,
  readSecretFile,
  requireForOwnerOnly,
  writeSecretFile,
} from './secret-files.ts';

const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

describe('secret files', () => {
  let place: TemporaryDirectory;
  beforeEach(async () => {
    place = await TemporaryDirectory.create();
  });
  afterEach(() => place[Symbol.asyncDispose]());

  it('are for their owner only, directories too', async () => {
    const directory = place.join('a', 'identity');
    await makeSecretDirectory(directory);
    await writeSecretFile(`${directory}/agent.pem`, 'key');
    assert.deepEqual(
      [await modeOf(directory), await modeOf(`${directory}/agent.pem`)],
      [0o700, 0o600],
    );
    assert.equal(await readSecretFile(`${directory}/agent.pem`), 'key');
    await requireForOwnerOnly(directory);
    assert.deepEqual(await readdir(directory), ['agent.pem']);
  });

  it('are written over what a crash left unfinished, and never through a link', async () => {
    const path = place.join('agent.pem');
    const elsewhere = place.join('elsewhere');
    await writeFile(elsewhere, 'not ours');
    await symlink(elsewhere, `${path}.new`);
    await writeSecretFile(path, 'key');
    assert.equal(await readFile(elsewhere, 'utf8'), 'not ours');
    assert.equal(await readSecretFile(path), 'key');
  });

  it('leave a directory that is there as it is', async () => {
    await mkdir(place.join('data'), { mode: 0o755 });
    await makeSecretDirectory(place.join('data'));
    assert.equal(await modeOf(place.join('data')), 0o755);
  });

  it('are nothing when they are not there', async () => {
    assert.equal(await readSecretFile(place.join('none')), undefined);
    await assert.rejects(requireForOwnerOnly(place.join('none')), { code: 'ENOENT' });
  });

  for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610]) {
    it(`are refused with mode ${mode.toString(8)}, with what to do`, async () => {
      const path = place.join('agent.pem');
      await writeSecretFile(path, 'key');
      await chmod(path, mode);
      await assert.rejects(readSecretFile(path), (error: Error) => {
        assert.match(
          error.message,
          /others than its owner .* expected 0600: chmod 0600 .*agent\.pem/,
        );
        return true;
      });
    });
  }

  it('are refused when they are links, or too large', async () => {
    await writeSecretFile(place.join('agent.pem'), 'key');
    await symlink(place.join('agent.pem'), place.join('link.pem'));
    await assert.rejects(readSecretFile(place.join('link.pem')), /no plain file/);
    await writeSecretFile(place.join('large.pem'), 'x'.repeat(300_000));
    await assert.rejects(readSecretFile(place.join('large.pem')), /at most 262144 are read/);
  });
});
