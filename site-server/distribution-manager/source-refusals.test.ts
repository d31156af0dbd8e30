import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type ErrorCode, isErrorWithCode } from '../../shared/domain/errors.ts';
import { whileActingAs } from '../../shared/runtime/acting-user.ts';
import { lesserUser } from '../../shared/testing/lesser-user.ts';
import { packageId, run, SnapshotTest } from './testing/snapshot-test.ts';

describe('a source snapshot refuses, with the path named and nothing published (PKG-3):', function () {
  this.timeout(60_000);
  let test: SnapshotTest;
  const inner = () => join(test.source, 'in', 'thing');
  beforeEach(async () => {
    test = await SnapshotTest.open();
    mkdirSync(join(test.source, 'in'));
    writeFileSync(join(test.source, 'in', 'fine'), 'fine');
  });
  afterEach(() => test[Symbol.asyncDispose]());

  async function assertRefused(code: ErrorCode, facts: Record<string, unknown>): Promise<void> {
    await assert.rejects(test.snapshot(), (error) => {
      assert.ok(isErrorWithCode(error, code), String(error));
      for (const [name, value] of Object.entries(facts)) {
        const actual: unknown = Object.entries(error.details).find(([fact]) => fact === name)?.[1];
        if (value instanceof RegExp) assert.match(String(actual), value);
        else assert.equal(actual, value);
      }
      return true;
    });
    assert.deepEqual(readdirSync(test.library.layout.staging), [], 'nothing stays staged');
    assert.equal(await test.library.getPackage(packageId), undefined);
  }

  it('a source that is not there, not a directory, or not absolute', async () => {
    const root = test.source;
    for (const path of [join(root, 'none'), join(root, 'in', 'fine'), 'relative']) {
      test.source = path;
      await assertRefused('SOURCE_MISSING', { path });
    }
  });

  it('an empty source', async () => {
    rmSync(join(test.source, 'in'), { recursive: true });
    await assertRefused('SOURCE_EMPTY', { path: test.source });
  });

  it('a source in the content library, or around it', async () => {
    const root = test.source;
    for (const path of [
      test.library.layout.fileLibrary,
      test.library.layout.directory,
      test.directory.path,
    ]) {
      test.source = path;
      await assertRefused('SOURCE_UNREADABLE', { path, reason: /content library/ });
    }
    symlinkSync(test.library.layout.fileLibrary, join(root, 'link'));
    test.source = join(root, 'link');
    await assertRefused('SOURCE_UNREADABLE', {
      path: test.source,
      reason: /in the content library/,
    });
  });

  it('a named pipe, without waiting for a writer', async () => {
    run('mkfifo', inner());
    await assertRefused('SOURCE_FILE_TYPE', { path: inner(), fileType: 'named pipe' });
  });

  it('a socket', async () => {
    const server = createServer().listen(inner());
    await once(server, 'listening');
    await assertRefused('SOURCE_FILE_TYPE', { path: inner(), fileType: 'socket' });
    server.close();
  });

  it('a device', async function () {
    // Only root can make one.
    if (process.getuid?.() !== 0) return this.skip();
    run('mknod', inner(), 'c', '1', '3');
    return assertRefused('SOURCE_FILE_TYPE', { path: inner(), fileType: 'character device' });
  });

  for (const target of ['/etc/passwd', '../../outside', '../../../..', '..//../x']) {
    it(`a link to ${target}`, async () => {
      symlinkSync(target, inner());
      await assertRefused('SOURCE_SYMLINK_LEAVES_TREE', { path: inner(), target });
    });
  }

  it('a link with ".." after a name, which may lead anywhere', async () => {
    symlinkSync('fine/../../..', inner());
    await assertRefused('SOURCE_NAME_REFUSED', { path: inner(), reason: /after a name/ });
  });

  it('a name that is not UTF-8', async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${test.source}/in/a`), Buffer.from([0xff])]), '');
    await assertRefused('SOURCE_NAME_REFUSED', {
      path: `${test.source}/in/a\ufffd`,
      reason: /UTF-8/,
    });
  });

  it('a link target that is not UTF-8', async () => {
    symlinkSync(Buffer.from([0x61, 0xff]), inner());
    await assertRefused('SOURCE_NAME_REFUSED', { path: inner(), reason: /UTF-8/ });
  });

  it('two names that are one after Unicode normalisation', async () => {
    writeFileSync(join(test.source, 'in', 'e\u0301'), '');
    writeFileSync(join(test.source, 'in', '\u00e9'), '');
    await assertRefused('SOURCE_NAME_REFUSED', {
      path: join(test.source, 'in', '\u00e9'),
      reason: /normalised/,
    });
  });

  it('what may not be read', async () => {
    const path = join(test.source, 'in', 'fine');
    mkdirSync(inner());
    // The thread that reads begins while it may read its program.
    await test.snapshot();
    if (lesserUser) run('chown', '-R', `${lesserUser.uid}:${lesserUser.gid}`, test.directory.path);
    await whileActingAs(lesserUser, async () => {
      await test.snapshot();
      chmodSync(path, 0);
      await assertRefused('SOURCE_UNREADABLE', { path, reason: 'EACCES' });
      chmodSync(path, 0o400);
      chmodSync(inner(), 0);
      await assertRefused('SOURCE_UNREADABLE', { path: inner(), reason: 'EACCES' });
      // So that it can be removed.
      chmodSync(inner(), 0o700);
    });
  });

  it('a file that is never what it said it was, three times', async () => {
    // Files of the kernel say that they are empty, and are not.
    test.source = '/proc/sys/kernel/random';
    await assertRefused('SOURCE_CHANGED', { path: `${test.source}/boot_id`, tries: 3 });
  });
});
