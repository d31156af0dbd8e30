import assert from 'node:assert/strict';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { whileActingAs } from './acting-user.ts';

describe('acting as another user', () => {
  const user = { uid: 12_345, gid: 12_346 };
  const ids = () => [process.geteuid?.(), process.getegid?.(), process.getgroups?.()];

  it('is for the time of the work, whether it ends well or not', async function () {
    // Only root can be somebody else.
    if (process.getuid?.() !== 0) return this.skip();
    await using directory = await TemporaryDirectory.create();
    await chmod(directory.path, 0o777);
    await writeFile(directory.join('of-root'), 'secret', { mode: 0o600 });
    const before = ids();
    await whileActingAs(user, async () => {
      assert.deepEqual(ids(), [user.uid, user.gid, [user.gid]]);
      await writeFile(directory.join('his'), '');
    });
    const { uid, gid } = await stat(directory.join('his'));
    assert.deepEqual({ uid, gid }, user);
    const reading = whileActingAs(user, () => readFile(directory.join('of-root')));
    await assert.rejects(reading, { code: 'EACCES' });
    assert.deepEqual(ids(), before);
  });

  it('is so in all threads in which Node reads, which were root before', async function () {
    // Only root can be somebody else.
    if (process.getuid?.() !== 0) return this.skip();
    await using directory = await TemporaryDirectory.create();
    await chmod(directory.path, 0o755);
    await writeFile(directory.join('of-root'), 'secret', { mode: 0o600 });
    // Many more than there are threads.
    const reads = async () => {
      const reading = Array.from({ length: 64 }, () => readFile(directory.join('of-root')));
      return new Set((await Promise.allSettled(reading)).map(({ status }) => status));
    };
    assert.deepEqual([...(await reads())], ['fulfilled']);
    assert.deepEqual([...(await whileActingAs(user, reads))], ['rejected']);
    assert.deepEqual([...(await reads())], ['fulfilled']);
  });

  it('is nothing for nobody, and for who it is already', async () => {
    const uid = process.geteuid?.() ?? 0;
    for (const none of [undefined, { uid, gid: 12_346 }]) {
      assert.deepEqual(await whileActingAs(none, async () => ids()), ids());
    }
  });
});
