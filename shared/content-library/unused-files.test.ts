import assert from 'node:assert/strict';
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { TestLibrary } from '../testing/test-library.ts';
import { hashOf } from './content-hash.ts';

const packageId = 'PS100001';
const graceMs = 60_000;

describe('content library, of files that nothing uses', function () {
  this.timeout(10_000);
  let directory: TemporaryDirectory;
  let test: TestLibrary;
  let clock: FakeClock;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock(Date.now());
    test = await TestLibrary.open({ directory: directory.path, clock });
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  const bytes = (text: string) => Buffer.from(text);
  const heldFile = (text: string) => ({ hash: hashOf(bytes(text)), sizeBytes: text.length });
  const isHeld = async (text: string) => (await test.library.areHeld([heldFile(text)]))[0];

  async function readText(text: string): Promise<string> {
    await using file = await test.library.openFile(heldFile(text));
    return file.readFile('utf8');
  }

  async function sweepAfterGrace(): Promise<void> {
    await clock.advance(graceMs);
    await test.library.sweep();
  }

  it('keeps shared files while another package uses them (PKG-7, PKG-10)', async () => {
    await test.commit(packageId, 1, { a: bytes('shared'), b: bytes('own') });
    await test.commit('PS100002', 1, { x: bytes('shared') });
    await test.library.removePackage(packageId);
    await test.library.removePackage(packageId);
    assert.equal(await test.library.getPackage(packageId), undefined);
    assert.equal(await isHeld('own'), true, 'the grace has not passed');
    await sweepAfterGrace();
    assert.deepEqual([await isHeld('own'), await isHeld('shared')], [false, true]);
    assert.equal(await readText('shared'), 'shared');
    await test.library.removePackage('PS100002');
    await sweepAfterGrace();
    assert.equal(await isHeld('shared'), false);
    assert.deepEqual(await readdir(test.library.layout.fileLibrary), []);
  });

  it('gives a file that comes back a new grace', async () => {
    await test.commit(packageId, 1, { a: bytes('one') });
    await test.library.removePackage(packageId);
    await clock.advance(graceMs);
    await test.adopt('PS100002', [bytes('one')]);
    await test.library.sweep();
    assert.equal(await isHeld('one'), true);
    await test.commit('PS100002', 1, { b: bytes('one') });
    await sweepAfterGrace();
    assert.equal(await isHeld('one'), true);
  });

  it('deletes files that were adopted and never committed, after the grace (PKG-10)', async () => {
    await test.adopt(packageId, [bytes('lost')]);
    await test.library.sweep();
    assert.equal(await isHeld('lost'), true);
    await sweepAfterGrace();
    assert.equal(await isHeld('lost'), false);
  });

  it('keeps what was adopted since somebody works on a package, however long that takes', async () => {
    await test[Symbol.asyncDispose]();
    const config = { unfinishedGraceMs: 10 * graceMs };
    test = await TestLibrary.open({ directory: directory.path, clock, config });
    await mkdir(test.library.stagingDirectoryOf(packageId));
    await test.adopt('PS100002', [bytes('arriving')]);
    await clock.advance(graceMs);
    for (let round = 0; round < 3; round++) await sweepAfterGrace();
    assert.equal(await isHeld('arriving'), true);
    await test.commit(packageId, 1, { a: bytes('other') });
    await rm(test.library.stagingDirectoryOf('PS100002'), { recursive: true, force: true });
    await sweepAfterGrace();
    assert.equal(await isHeld('arriving'), false);
  });

  it('makes room by what was let go while somebody works on a package', async () => {
    await test[Symbol.asyncDispose]();
    const config = { unfinishedGraceMs: 100 * graceMs };
    test = await TestLibrary.open({ directory: directory.path, clock, config });
    await mkdir(test.library.stagingDirectoryOf('PS100002'));
    await clock.advance(graceMs);
    await test.commit(packageId, 1, { a: bytes('old') });
    await test.commit(packageId, 2, { a: bytes('new') });
    await sweepAfterGrace();
    assert.deepEqual([await isHeld('old'), await isHeld('new')], [false, true]);
    await test.library.removePackage(packageId);
    await sweepAfterGrace();
    assert.equal(await isHeld('new'), false);
  });

  it('sweeps by itself, again and again', async () => {
    await test.adopt(packageId, [bytes('lost')]);
    for (let round = 0; round < 2; round++) {
      while (clock.sleeperCount === 0) await test.library.sweep();
      await clock.advance(3_600_000);
    }
    while (await isHeld('lost')) await test.library.areHeld([]);
  });

  it('deletes what is staged for packages nobody works on, and only that', async () => {
    const { staging } = test.library.layout;
    for (const [name, ageMs] of [
      ['PS100008', graceMs + 60_000],
      ['PS100009', 0],
    ] as const) {
      await mkdir(join(staging, name));
      await writeFile(join(staging, name, 'piece'), 'x');
      // A moment before the library's "now", which stands still.
      const time = new Date(clock.nowMs() - ageMs);
      await utimes(join(staging, name, 'piece'), time, time);
    }
    await test.library.sweep();
    assert.deepEqual(await readdir(staging), ['PS100008', 'PS100009'], 'both came just now');
    await clock.advance(graceMs + 60_000);
    await writeFile(join(staging, 'PS100009', 'piece'), 'y');
    const soon = new Date(clock.nowMs());
    await utimes(join(staging, 'PS100009', 'piece'), soon, soon);
    await test.library.sweep();
    assert.deepEqual(await readdir(staging), ['PS100009']);
  });
});
