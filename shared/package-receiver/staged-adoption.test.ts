import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { StagedAdoption } from './staged-adoption.ts';
import { type StagedFile, StagedFiles } from './staged-files.ts';

const diskFull = () =>
  new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });

describe('staged adoption', () => {
  let directory: TemporaryDirectory;
  let staged: StagedFiles;
  let adoption: StagedAdoption;
  /** What the library was asked to take, one list for each time. */
  let taken: string[][];
  let adopted: string[];
  /** What the library does with the files it is given. */
  let take: (files: readonly StagedFile[]) => Promise<void>;

  function adoptionOf(stagedFilesMax: number): StagedAdoption {
    const library = {
      adoptFiles: async (files: readonly StagedFile[]) => {
        taken.push(files.map(({ hash }) => hash));
        await take(files);
      },
    };
    const onAdopted = async (hashes: readonly string[]) => {
      adopted.push(...hashes);
    };
    const { logger } = new CapturedLog();
    const config = { stagedFilesMax, stagedBytesMax: 1_000 };
    return new StagedAdoption({ library, staged, logger, onAdopted }, config);
  }

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    staged = new StagedFiles();
    taken = [];
    adopted = [];
    take = async () => {};
    adoption = adoptionOf(4);
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  async function stage(...names: string[]): Promise<void> {
    for (const name of names) {
      await writeFile(directory.join(name), name);
      staged.add({ path: directory.join(name), hash: name, sizeBytes: 100 });
    }
  }

  it('leaves little where it is', async () => {
    staged.add({ path: directory.join('a'), hash: 'a', sizeBytes: 100 });
    await adoptionOf(5).adoptEnough();
    assert.deepEqual(taken, []);
  });

  it('begins at a quarter while the caller goes on, and makes it wait at the whole', async () => {
    const gate = new AbortController();
    const opened = once(gate.signal, 'abort');
    take = async () => {
      await opened;
    };
    await stage('a');
    await adoption.adoptEnough();
    await stage('b');
    await adoption.adoptEnough();
    // Two are under way: a third waits for one of them.
    await stage('c');
    await adoption.adoptEnough();
    assert.deepEqual(taken, [['a'], ['b']]);
    await stage('d');
    let isThrough = false;
    const waiting = adoption.adoptEnough().then(() => {
      isThrough = true;
    });
    await new Promise(setImmediate);
    assert.equal(isThrough, false);
    gate.abort();
    await waiting;
    await adoption.adoptEnough();
    await adoption.whenIdle();
    assert.deepEqual(taken, [['a'], ['b'], ['c', 'd']]);
    assert.equal(staged.all.count, 0);
    assert.deepEqual(adopted, ['a', 'b', 'c', 'd']);
  });

  it('takes over all there is, what is under way included', async () => {
    const gate = new AbortController();
    const opened = once(gate.signal, 'abort');
    take = async () => {
      await opened;
    };
    await stage('a', 'b');
    await adoption.adoptEnough();
    await stage('c');
    const all = adoption.adoptAll();
    gate.abort();
    await all;
    assert.deepEqual(taken, [['a', 'b'], ['c']]);
    assert.equal(staged.all.count, 0);
  });

  it('tries again what fails ahead of time while somebody waits for all', async () => {
    const gate = new AbortController();
    const opened = once(gate.signal, 'abort');
    take = async () => {
      await opened;
      throw diskFull();
    };
    await stage('a');
    await adoption.adoptEnough();
    take = async () => {};
    const all = adoption.adoptAll();
    gate.abort();
    await all;
    assert.deepEqual(taken, [['a'], ['a']]);
    assert.deepEqual(adopted, ['a']);
  });

  it('ends only when what another took in hand is over, too', async () => {
    const gates = [0, 1, 2, 3].map(() => new AbortController());
    const opened = gates.map(({ signal }) => once(signal, 'abort'));
    let count = 0;
    take = async () => {
      const turn = count++;
      await opened[turn];
      if (turn === 0) throw diskFull();
    };
    await stage('a');
    await adoption.adoptEnough();
    const ended = [false, false];
    const all = [0, 1].map(async (index) => {
      await adoption.adoptAll();
      ended[index] = true;
    });
    gates[0]?.abort();
    while (count < 2) await new Promise(setImmediate);
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    assert.deepEqual(ended, [false, false], "the file is in nobody's library yet");
    for (const gate of gates) gate.abort();
    await Promise.all(all);
    assert.deepEqual(taken, [['a'], ['a']]);
    assert.equal(staged.all.count, 0);
  });

  it('leaves alone a file that came anew while the first of its kind was lost', () => {
    const file = (path: string) => ({ path, hash: 'x', sizeBytes: 1 });
    staged.add(file('first'));
    const first = staged.take();
    staged.remove(first);
    staged.add(file('second'));
    staged.take();
    staged.putBack(first);
    assert.equal(staged.waiting.count, 0);
  });

  it('fails who waits at the whole when nothing can be taken over', async () => {
    take = () => Promise.reject(diskFull());
    await stage('a', 'b', 'c', 'd');
    await assert.rejects(adoption.adoptEnough(), (error) => isErrorWithCode(error, 'DISK_FULL'));
    assert.equal(staged.waiting.count, 4);
  });

  it('keeps what failed ahead of time for the one who waits, and begins ahead again', async () => {
    take = () => Promise.reject(diskFull());
    await stage('a', 'b');
    await adoption.adoptEnough();
    await adoption.whenIdle();
    assert.equal(staged.all.count, 2);
    await assert.rejects(adoption.adoptAll(), (error) => isErrorWithCode(error, 'DISK_FULL'));
    take = async () => {};
    await adoption.adoptEnough();
    await adoption.whenIdle();
    assert.equal(staged.all.count, 0);
    assert.deepEqual(adopted, ['a', 'b']);
  });

  it('does not keep what the library dropped, as it could not be made durable', async () => {
    take = async (files) => {
      for (const { path } of files) await rm(path);
      throw new Error('I/O error');
    };
    await stage('a', 'b');
    await assert.rejects(adoption.adoptAll(), /I\/O error/);
    assert.equal(staged.all.count, 0);
    assert.deepEqual(adopted, []);
  });
});
