import assert from 'node:assert/strict';
import { closeSync, constants, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { pieceBytes } from '../domain/content.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { DirectFile } from './direct-file.ts';

const pieceOf = (kind: number) => new Uint8Array(pieceBytes).fill(kind);

/** The flags of each descriptor this process has of a file. */
async function flagsOf(path: string): Promise<number[]> {
  const flags: number[] = [];
  for (const fd of await readdir('/proc/self/fd')) {
    if ((await readlink(`/proc/self/fd/${fd}`).catch(() => '')) !== path) continue;
    const facts = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8');
    flags.push(Number.parseInt(/flags:\s+(\d+)/.exec(facts)?.[1] ?? '', 8));
  }
  return flags;
}

describe('direct file', () => {
  let directory: TemporaryDirectory;
  let path: string;
  let file: DirectFile;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    path = directory.join('file');
    await writeFile(path, '');
    file = new DirectFile(path);
  });
  afterEach(async () => {
    file.close();
    await directory[Symbol.asyncDispose]();
  });

  /**
   * Whether this platform, and the file system of the test, has such writes; asked in another way. Where
   * there are none, nothing of this can be seen, and the tests of refusals below hold what is done then.
   */
  function isTakenHere(): boolean {
    if (constants.O_DIRECT === undefined) return false;
    try {
      closeSync(openSync(path, constants.O_WRONLY | constants.O_DIRECT));
      return true;
    } catch {
      return false;
    }
  }

  it('writes pieces past the page cache, in any order, by one descriptor', async function () {
    if (!isTakenHere()) this.skip();
    for (const index of [2, 0, 1]) {
      assert.equal(file.write(pieceOf(index + 1), index * pieceBytes), true);
    }
    const flags = await flagsOf(path);
    assert.deepEqual(
      flags.map((one) => (one & constants.O_DIRECT) !== 0),
      [true],
    );
    assert.deepEqual(await readFile(path), Buffer.concat([pieceOf(1), pieceOf(2), pieceOf(3)]));
    file.close();
    assert.deepEqual(await flagsOf(path), []);
  });

  it('replaces what the page cache has of it, read or not yet written back', async function () {
    if (!isTakenHere()) this.skip();
    const fd = openSync(path, 'r+');
    try {
      for (const index of [0, 1]) writeSync(fd, pieceOf(8), 0, pieceBytes, index * pieceBytes);
      fdatasyncSync(fd);
      await readFile(path);
      writeSync(fd, pieceOf(9), 0, pieceBytes, pieceBytes);
      for (const index of [0, 1]) {
        assert.equal(file.write(pieceOf(index), index * pieceBytes), true);
      }
      writeSync(fd, Buffer.from('tail'), 0, 4, 2 * pieceBytes);
    } finally {
      closeSync(fd);
    }
    assert.deepEqual(
      await readFile(path),
      Buffer.concat([pieceOf(0), pieceOf(1), Buffer.from('tail')]),
    );
  });

  it('leaves bytes of another length or place to the usual way, and takes the next ones', async function () {
    if (!isTakenHere()) this.skip();
    assert.equal(file.write(new Uint8Array(7), 0), false);
    assert.equal(file.write(pieceOf(1), 512), false);
    assert.equal((await readFile(path)).length, 0);
    assert.equal(file.write(new Uint8Array(8192).fill(1), 0), true);
    assert.deepEqual(await readFile(path), Buffer.alloc(8192, 1));
  });

  it('is refused where the platform has no such writes', async () => {
    const elsewhere = new DirectFile(path, { flag: undefined });
    assert.equal(elsewhere.write(pieceOf(1), 0), false);
    assert.equal((await readFile(path)).length, 0);
  });

  it('is refused where the file cannot be opened so, once for all', async function () {
    if (process.platform !== 'linux') this.skip();
    // A device without a disk behind it.
    const refused = new DirectFile('/dev/null');
    assert.throws(() => openSync('/dev/null', constants.O_WRONLY | constants.O_DIRECT), {
      code: 'EINVAL',
    });
    assert.equal(refused.write(pieceOf(1), 0), false);
    assert.equal(refused.write(pieceOf(1), 0), false);
    assert.deepEqual(await flagsOf('/dev/null').then((all) => all.filter(isDirect)), []);
  });

  it('is refused where the first write is, and keeps no descriptor', async function () {
    if (process.platform !== 'linux') this.skip();
    // Opens well, and answers EINVAL to what is no number.
    const settings = `/proc/${process.pid}/oom_score_adj`;
    const refused = new DirectFile(settings, { flag: 0 });
    assert.equal(refused.write(pieceOf(0x78), 0), false);
    assert.deepEqual(await flagsOf(settings), []);
    assert.equal(refused.write(pieceOf(0x78), 0), false);
  });

  it('throws when the disk is full, and what else a write meets', function () {
    if (process.platform !== 'linux') this.skip();
    const full = new DirectFile('/dev/full', { flag: 0 });
    assert.throws(() => full.write(pieceOf(1), 0), { code: 'ENOSPC' });
    full.close();
    const absent = new DirectFile(directory.join('absent'));
    assert.throws(() => absent.write(pieceOf(1), 0), { code: 'ENOENT' });
  });
});

function isDirect(flags: number): boolean {
  return (flags & constants.O_DIRECT) !== 0;
}
