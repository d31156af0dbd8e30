import assert from 'node:assert/strict';
import { statfs } from 'node:fs/promises';
import { isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { FreeRoom } from './free-room.ts';

const mib = 1024 * 1024;

describe('free room', () => {
  let directory: TemporaryDirectory;
  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  async function freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(directory.path);
    return bavail * bsize;
  }

  it('is what the file system has free, without the reserve', async () => {
    const free = await freeBytes();
    const measured = await new FreeRoom(directory.path, Math.floor(free / 2)).measure();
    // Others use this file system too: half of it is far more than they write meanwhile.
    assert.ok(measured > free / 4 && measured < (3 * free) / 4, `${measured} of ${free}`);
  });

  it('is never less than nothing', async () => {
    assert.equal(await new FreeRoom(directory.path, Number.MAX_SAFE_INTEGER).measure(), 0);
  });

  it('refuses what would eat into the reserve, with the facts', async () => {
    const room = new FreeRoom(directory.path, Number.MAX_SAFE_INTEGER);
    await assert.rejects(room.require(1), (error) => {
      assert.ok(isErrorWithCode(error, 'DISK_FULL'));
      assert.deepEqual(error.details, {
        code: 'DISK_FULL',
        path: directory.path,
        freeBytes: 0,
        neededBytes: 1,
      });
      return true;
    });
    await room.require(0);
  });

  it('looks again when what was seen is spent', async () => {
    const free = await freeBytes();
    const room = new FreeRoom(directory.path, Math.floor(free / 2));
    await room.require(mib);
    await room.require(mib);
    await assert.rejects(room.require(free), (error) => isErrorWithCode(error, 'DISK_FULL'));
    await room.require(mib);
  });
});
