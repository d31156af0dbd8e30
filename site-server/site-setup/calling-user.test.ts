import assert from 'node:assert/strict';
import { adminDirectoryOf, callingUserOf } from './calling-user.ts';

const passwd = 'root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n';
const root = { uid: 0, name: 'root', homeDirectory: '/root', passwd };

describe('calling user', () => {
  it('is who runs the program', () => {
    const user = callingUserOf({
      ...root,
      uid: 1000,
      name: 'alice',
      homeDirectory: '/home/alice',
      environment: { SUDO_USER: 'bob' },
    });
    assert.deepEqual(user, { name: 'alice', homeDirectory: '/home/alice' });
    assert.equal(adminDirectoryOf(user), '/home/alice/.config/waybill');
  });

  it('is who called sudo', () => {
    assert.deepEqual(callingUserOf({ ...root, environment: { SUDO_USER: 'alice' } }), {
      name: 'alice',
      homeDirectory: '/home/alice',
      owner: { uid: 1000, gid: 1001 },
    });
  });

  it('is root when nobody is known behind it', () => {
    for (const environment of [
      {},
      { SUDO_USER: '' },
      { SUDO_USER: 'root' },
      { SUDO_USER: 'eve' },
    ]) {
      assert.deepEqual(callingUserOf({ ...root, environment }), {
        name: 'root',
        homeDirectory: '/root',
      });
    }
    const broken = { ...root, passwd: 'alice:x:one:1001:Alice:/home/alice:/bin/sh' };
    const user = callingUserOf({ ...broken, environment: { SUDO_USER: 'alice' } });
    assert.equal(user.name, 'root');
  });
});
