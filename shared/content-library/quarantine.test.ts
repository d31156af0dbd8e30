import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { Quarantine } from './quarantine.ts';

const config = { keptMs: 1_000, bytesMax: 10, countMax: 3 };

describe('Quarantine (PKG-8)', () => {
  let directory: TemporaryDirectory;
  let clock: FakeClock;
  let quarantine: Quarantine;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    quarantine = new Quarantine(directory.join('quarantine'), clock, config);
    await mkdir(quarantine.directory);
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  async function setAside(name: string, sizeBytes: number): Promise<void> {
    await clock.advance(1);
    const path = (await quarantine.prepare())(name);
    await writeFile(path, Buffer.alloc(sizeBytes));
    await quarantine.noteTaken([path]);
  }
  const names = () => [...quarantine.names()];

  it('keeps the newest, however large it is, and of the others what there is room for', async () => {
    await setAside('a', 4);
    await setAside('b', 6);
    assert.deepEqual(names(), ['a', 'b']);
    await setAside('c', 11);
    assert.deepEqual(names(), ['c']);
    assert.equal((await readdir(quarantine.directory)).length, 1);
    await setAside('d', 1);
    assert.deepEqual(names(), ['d']);
  });

  it('keeps no more than so many, none for longer than so long', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await setAside(name, 0);
    assert.deepEqual(names(), ['b', 'c', 'd']);
    await clock.advance(1_000);
    await quarantine.trim();
    assert.deepEqual(names(), []);
  });
});
