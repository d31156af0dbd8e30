import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { fileStoreOf, SendingMachine } from '../sender/testing/test-sending.ts';
import type { PackageFileStore } from './package-file-store.ts';

const hourMs = 3_600_000;
const never = new AbortController().signal;

describe('package file store (REP-2)', () => {
  let machine: SendingMachine;
  let needed: Set<string>;
  let files: PackageFileStore;
  beforeEach(async () => {
    machine = await SendingMachine.open();
    needed = new Set();
    files = await opened();
  });
  afterEach(async () => {
    await files.stop();
    await machine[Symbol.asyncDispose]();
  });

  async function opened(): Promise<PackageFileStore> {
    const references = async function* () {
      yield* needed;
    };
    const store = fileStoreOf(machine, machine.store, references);
    await store.start();
    return store;
  }

  const order = (sourceVersion = 2, baseVersion = 0, packageId = 'CS100001') => {
    return { packageId, sourceVersion, baseVersion, packageHash: 'h', priority: 2 } as const;
  };
  const names = () => readdir(machine.directory.join('files'));

  it('makes one file for all orders of the same, at once or later, and after a restart', async () => {
    const [first, second] = await Promise.all([
      files.make(order(), never),
      files.make(order(), never),
    ]);
    assert.deepEqual(second, first);
    assert.deepEqual(await files.make(order(), never), first);
    await files.stop();
    files = await opened();
    assert.deepEqual(await files.make(order(), never), first);
    assert.equal(machine.made.length, 1);
    assert.notDeepEqual(await files.make(order(2, 1), never), first);
    assert.deepEqual(machine.made, ['CS100001 0..2', 'CS100001 1..2']);
  });

  it('leaves nothing of a making that was killed', async () => {
    await files.stop();
    await writeFile(machine.directory.join('files', 'making-1'), 'half');
    files = await opened();
    assert.deepEqual(await names(), []);
  });

  it('makes a file again that is not there any more, or not whole', async () => {
    const { fileHash } = await files.make(order(), never);
    await writeFile(files.pathOf(fileHash), 'torn');
    const again = await files.make(order(), never);
    assert.equal(again.fileHash, fileHash);
    await files.discard(fileHash);
    await files.make(order(), never);
    assert.equal(machine.made.length, 3);
  });

  it('keeps what is needed, and the rest for the grace period', async () => {
    const kept = await files.make(order(1), never);
    const left = await files.make(order(2), never);
    needed.add(kept.fileHash).add(left.fileHash);
    await machine.clock.advance(5 * hourMs);
    await files.sweep();
    needed.delete(left.fileHash);
    await files.sweep();
    await machine.clock.advance(hourMs - 1);
    await files.sweep();
    assert.equal(await files.has(left.fileHash), true);
    await machine.clock.advance(1);
    await files.sweep();
    assert.deepEqual(await names(), [kept.fileHash]);
  });

  it('keeps a file that is about to be needed, though the disk is full', async () => {
    const made = await files.make(order(1), never);
    machine.freeBytes = 0;
    await assert.rejects(files.make(order(2), never), (error) =>
      isErrorWithCode(error, 'DISK_FULL'),
    );
    assert.equal(await files.has(made.fileHash), true);
  });

  it('makes room of what nobody needs before it says that the disk is full', async () => {
    const kept = await files.make(order(1), never);
    const left = await files.make(order(2), never);
    needed.add(kept.fileHash);
    await machine.clock.advance(60_000);
    machine.freeBytes = 0;
    const failed = files.make(order(3), never);
    await assert.rejects(failed, (error) => isErrorWithCode(error, 'DISK_FULL'));
    assert.deepEqual(await names(), [kept.fileHash]);
    assert.equal(await files.has(left.fileHash), false);
  });

  it('never takes a file of another version for the one that was ordered', async () => {
    machine.libraryVersions.set('CS100001', 3);
    await assert.rejects(files.make(order(2), never), (error) =>
      isErrorWithCode(error, 'PACKAGE_STATE_CONFLICT'),
    );
    assert.deepEqual(await names(), []);
    await files.make(order(3), never);
  });

  it('says DISK_FULL when a write meets it, and leaves nothing', async () => {
    const noSpace = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    machine.makeFailures.set('CS100001', noSpace);
    await assert.rejects(files.make(order(), never), (error) =>
      isErrorWithCode(error, 'DISK_FULL'),
    );
    assert.deepEqual(await names(), []);
  });

  it('makes room also when only the making of a file tells that there is none', async () => {
    const left = await files.make(order(1), never);
    await machine.clock.advance(60_000);
    const full = { path: 'x', freeBytes: 1, neededBytes: 2 };
    machine.makeFailures.set('CS100001', new WaybillError({ code: 'DISK_FULL', ...full }));
    await assert.rejects(files.make(order(2), never));
    assert.equal(await files.has(left.fileHash), false);
  });

  it('keeps what somebody is about to say that it is needed (REP-6)', async () => {
    const { fileHash, fileBytes } = await files.make(order(1), never);
    needed.add(fileHash);
    await files.sweep();
    needed.clear();
    await files.sweep();
    await machine.clock.advance(hourMs - 1);
    assert.equal(await files.keep(fileHash), fileBytes);
    await machine.clock.advance(1);
    await files.sweep();
    assert.equal(await files.has(fileHash), true);
    await machine.clock.advance(hourMs);
    await files.sweep();
    assert.equal(await files.keep(fileHash), undefined);
  });

  it('drops a file that its disk has damaged, when somebody could not use it', async () => {
    const { fileHash } = await files.make(order(), never);
    assert.equal(await files.isSound(fileHash), true);
    await writeFile(files.pathOf(fileHash), 'damaged');
    assert.equal(await files.isSound(fileHash), false);
    assert.equal(await files.has(fileHash), false);
    assert.equal(await files.isSound(fileHash), false);
  });

  it('adopts a file that came from another site', async () => {
    const path = machine.directory.join('arrived');
    await writeFile(path, 'bytes');
    const fileHash = hashOf(Buffer.from('bytes'));
    await files.adopt(path, { fileHash, fileBytes: 5 });
    await files.sweep();
    assert.deepEqual(await names(), [fileHash]);
  });
});
