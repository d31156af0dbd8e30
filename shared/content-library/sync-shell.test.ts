import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { SyncShell } from './sync-shell.ts';

describe('sync shell', () => {
  let directory: TemporaryDirectory;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(async () => directory[Symbol.asyncDispose]());

  const done = { exitCode: 0, errorText: '' };

  /** Shells this process has started. */
  async function shells(): Promise<string[]> {
    const children = await readFile(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8');
    const pids = children.split(' ').filter((pid) => pid !== '');
    const names = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8')));
    return pids.filter((_, index) => names[index] === 'sh\n');
  }

  it('syncs whatever the directory is called, and says when it is not there', async () => {
    const shell = new SyncShell();
    const names = ['plain', "it's $(false) `false`", ' a  b ', 'ä\\0101%n', 'line\nbreak\n', '-f'];
    for (const name of names) {
      const { exitCode, errorText } = await shell.sync(directory.join(name));
      assert.notEqual(exitCode, 0, name);
      assert.equal(errorText, 'no such directory', name);
      await mkdir(directory.join(name));
      assert.deepEqual(await shell.sync(directory.join(name)), done, name);
    }
  });

  it('answers each in its turn, from one process', async () => {
    const before = await shells();
    const shell = new SyncShell();
    const paths = Array.from({ length: 20 }, (_, index) =>
      index % 3 === 0 ? directory.path : directory.join(`none-${index}`),
    );
    const results = await Promise.all(paths.map((path) => shell.sync(path)));
    for (const [index, { exitCode }] of results.entries()) {
      assert.equal(exitCode === 0, index % 3 === 0);
    }
    assert.equal((await shells()).length, before.length + 1);
  });

  it('promises nothing when it is killed, and starts again', async () => {
    const before = await shells();
    const shell = new SyncShell();
    await shell.sync(directory.path);
    const [pid] = (await shells()).filter((one) => !before.includes(one));
    process.kill(Number(pid), 'SIGSTOP');
    const syncing = assert.rejects(shell.sync(directory.path), /was ended/);
    process.kill(Number(pid), 'SIGKILL');
    await syncing;
    assert.deepEqual(await shell.sync(directory.path), done);
  });

  it('keeps no program from its end, and ends with it', () => {
    const url = new URL('./sync-shell.js', import.meta.url).href;
    const program = `
      const { SyncShell } = await import(${JSON.stringify(url)});
      console.log(JSON.stringify(await new SyncShell().sync(${JSON.stringify(directory.path)})));`;
    const words = ['--input-type=module', '--eval', program];
    const { stdout, status } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), done);
  });

  it('says that there is no such program', () => {
    const url = new URL('./sync-shell.js', import.meta.url).href;
    const program = `
      const { SyncShell } = await import(${JSON.stringify(url)});
      const { exitCode } = await new SyncShell().sync('/');
      console.log(String(exitCode));`;
    const answered = (path: string) =>
      execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
        encoding: 'utf8',
        env: { PATH: path },
      }).trim();
    assert.equal(answered(directory.join('nothing')), 'undefined');
  });
});
