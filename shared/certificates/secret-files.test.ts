import assert from 'node:assert/strict';
import { chmod, mkdir, open, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import type { WaybillError } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import {
  makeSecretDirectory,
  readSecretFile,
  remedyOf,
  requireForOwnerOnly,
  writeSecretFile,
} from './secret-files.ts';

/** A file handle, closed: all have one prototype. */
async function openedOnce(path: string): Promise<object> {
  const file = await open(path, 'w');
  await file.close();
  return file;
}

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

  it('tell a full disk as what it is, and leave the file as it was', async () => {
    const path = place.join('agent.pem');
    await writeSecretFile(path, 'key');
    const handles = Object.getPrototypeOf(await openedOnce(place.join('any')));
    const { sync } = handles;
    for (const code of ['ENOSPC', 'EDQUOT']) {
      handles.sync = async () => {
        throw Object.assign(new Error(code), { code, syscall: 'fsync' });
      };
      const asked = writeSecretFile(path, 'another key').finally(() => {
        handles.sync = sync;
      });
      await assert.rejects(asked, ({ details }: WaybillError) => {
        assert.equal(details.code === 'DISK_FULL' && details.neededBytes, 11);
        return true;
      });
    }
    assert.equal(await readSecretFile(path), 'key');
  });

  it('say why they cannot be written', async () => {
    const failure = (reason: string) => ({
      code: 'CERTIFICATE_INVALID',
      message: new RegExp(`agent\\.pem cannot be used: it cannot be written: ${reason}`),
    });
    const gone = writeSecretFile(place.join('gone', 'agent.pem'), 'key');
    await assert.rejects(gone, failure('its directory is not there'));
    await mkdir(place.join('agent.pem.new'));
    await assert.rejects(writeSecretFile(place.join('agent.pem'), 'key'), failure('.*EISDIR'));
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

  it('of somebody else become ours with what is told to do, for else we could not read them', () => {
    const told = (ownerUid: number, ownUid: number) =>
      remedyOf('/etc/agent.pem', '0600', { ownerUid, ownUid });
    assert.equal(told(998, 998), 'chmod 0600 /etc/agent.pem');
    assert.equal(told(998, 0), 'chmod 0600 /etc/agent.pem');
    assert.equal(told(0, 998), 'as root: chown 998 /etc/agent.pem && chmod 0600 /etc/agent.pem');
  });

  it('are refused when they are links, or too large', async () => {
    await writeSecretFile(place.join('agent.pem'), 'key');
    await symlink(place.join('agent.pem'), place.join('link.pem'));
    await assert.rejects(readSecretFile(place.join('link.pem')), /no plain file/);
    await writeSecretFile(place.join('large.pem'), 'x'.repeat(300_000));
    await assert.rejects(readSecretFile(place.join('large.pem')), /at most 262144 are read/);
  });
});
