import assert from 'node:assert/strict';
import { appendFile, rename, writeFile } from 'node:fs/promises';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { LogReader } from './log-reader.ts';

describe('Log reader', () => {
  let directory: TemporaryDirectory;
  let reader: LogReader;
  let clock: FakeClock;
  const never = new AbortController().signal;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    reader = new LogReader({ clock, directory: directory.path });
  });

  afterEach(() => directory[Symbol.asyncDispose]());

  async function read(lineCount: number, component = 'distmgr'): Promise<string[]> {
    const query = { component, lineCount, isFollowed: false };
    const lines: string[] = [];
    for await (const line of reader.read(query, never)) lines.push(line);
    return lines;
  }

  it('names the logs there are', async () => {
    for (const name of ['pkgxfermgr.log', 'distmgr.log', 'distmgr.log.1', 'other.txt']) {
      await writeFile(directory.join(name), '');
    }
    assert.deepEqual(await reader.components(), ['distmgr', 'pkgxfermgr']);
  });

  it('refuses a log there is not, and every path (PTM-9)', async () => {
    await writeFile(directory.join('distmgr.log'), '');
    for (const component of [
      'absent',
      '../distmgr',
      '',
      'distmgr.log',
      '__proto__',
      'constructor',
    ]) {
      await assert.rejects(read(1, component), { code: 'LOG_UNKNOWN' }, component);
    }
  });

  it('goes by the name of the component as well', async () => {
    await writeFile(directory.join('distmgr.log'), 'a line\n');
    assert.deepEqual(await read(1, 'distribution-manager'), await read(1, 'distmgr'));
  });

  it('gives the last lines as they are', async () => {
    await writeFile(directory.join('distmgr.log'), 'one\n\nthree\nfour\n');
    assert.deepEqual(await read(2), ['three', 'four']);
    assert.deepEqual(await read(3), ['', 'three', 'four']);
    assert.deepEqual(await read(100), ['one', '', 'three', 'four']);
  });

  it('gives a last line that has no end', async () => {
    await writeFile(directory.join('distmgr.log'), 'one\ntwo');
    assert.deepEqual(await read(1), ['two']);
    await writeFile(directory.join('distmgr.log'), '');
    assert.deepEqual(await read(1), []);
  });

  it('finds lines in a log of many blocks', async () => {
    const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index} €`);
    await writeFile(directory.join('distmgr.log'), `${lines.join('\n')}\n`);
    assert.deepEqual(await read(9_000), lines.slice(-9_000));
  });

  it('cuts a line that is far too long', async () => {
    await writeFile(directory.join('distmgr.log'), `${'x'.repeat(3_000_000)}\nnext\n`);
    const [long = '', next] = await read(2);
    assert.equal(long.length, 1024 * 1024);
    assert.equal(next, 'next');
  });

  it('follows a log into its successor until nobody listens', async () => {
    const path = directory.join('distmgr.log');
    await writeFile(path, 'one\n');
    const controller = new AbortController();
    const query = { component: 'distmgr', lineCount: 10, isFollowed: true };
    const lines = reader.read(query, controller.signal)[Symbol.asyncIterator]();
    const next = async () => {
      const line = lines.next();
      let isThere = false;
      void line.then(() => {
        isThere = true;
      });
      while (!isThere) await clock.advance(250);
      return (await line).value;
    };
    assert.equal(await next(), 'one');
    await appendFile(path, 'tw');
    await appendFile(path, 'o\n');
    assert.equal(await next(), 'two');
    await appendFile(path, 'three\n');
    await rename(path, `${path}.1`);
    await writeFile(path, 'four\n');
    assert.equal(await next(), 'three');
    assert.equal(await next(), 'four');
    controller.abort();
    assert.equal((await lines.next()).done, true);
  });
});
