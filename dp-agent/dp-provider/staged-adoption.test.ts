import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
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

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    staged = new StagedFiles();
    taken = [];
    adopted = [];
    take = async () => {};
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
    const config = { stagedFilesMax: 4, stagedBytesMax: 1_000 };
    adoption = new StagedAdoption({ library, staged, logger, onAdopted }, config);
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  async function stage(...names: string[]): Promise<void> {
    for (const name of names) {
      await writeFile(directory.join(name), name);
      staged.add({ path: directory.join(name), hash: name, sizeBytes: 100 });
    }
  }

  it('leaves little where it is', async () => {
    await stage('a');
    await adoption.adoptEnough();
    await adoption.whenIdle();
    assert.deepEqual(taken, []);
  });

  it('begins at half while the caller goes on, and makes it wait at the whole', async () => {
    const gate = new AbortController();
    const opened = once(gate.signal, 'abort');
    take = async () => {
      await opened;
    };
    await stage('a', 'b');
    await adoption.adoptEnough();
    assert.equal(staged.count, 2);
    await stage('c', 'd');
    let isThrough = false;
    const waiting = adoption.adoptEnough().then(() => {
      isThrough = true;
    });
    await new Promise(setImmediate);
    assert.equal(isThrough, false);
    gate.abort();
    await waiting;
    assert.deepEqual(taken, [
      ['a', 'b'],
      ['c', 'd'],
    ]);
    assert.equal(staged.count, 0);
    assert.deepEqual(adopted, ['a', 'b', 'c', 'd']);
  });

  it('keeps what failed ahead of time for the one who waits, and begins ahead again', async () => {
    take = () => Promise.reject(diskFull());
    await stage('a', 'b');
    await adoption.adoptEnough();
    await adoption.whenIdle();
    assert.equal(staged.count, 2);
    await assert.rejects(adoption.adoptAll(), (error) => isErrorWithCode(error, 'DISK_FULL'));
    take = async () => {};
    await adoption.adoptEnough();
    await adoption.whenIdle();
    assert.equal(staged.count, 0);
    assert.deepEqual(adopted, ['a', 'b']);
  });

  it('does not keep what the library dropped, as it could not be made durable', async () => {
    take = async (files) => {
      for (const { path } of files) await rm(path);
      throw new Error('I/O error');
    };
    await stage('a', 'b');
    await assert.rejects(adoption.adoptAll(), /I\/O error/);
    assert.equal(staged.count, 0);
    assert.deepEqual(adopted, []);
  });
});
