import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../../../shared/content-library/content-hash.ts';
import { filePathOf } from '../../../shared/content-library/library-layout.ts';
import { pieceBytes } from '../../../shared/domain/content.ts';
import { isErrorWithCode, WaybillError } from '../../../shared/domain/errors.ts';
import { isAbortError } from '../../../shared/runtime/abort-error.ts';
import { CommandFailure } from '../command-failure.ts';
import { nearSource } from '../testing/fake-packages.ts';
import { GetTest } from './testing/get-test.ts';
import { WorkFolder } from './work-folder.ts';

const big = Buffer.alloc(3 * pieceBytes + 9, 'b');
const tree = { 'setup.sh': Buffer.from('install'), docs: { 'big.bin': big } };
const noSource = new WaybillError({
  code: 'PULL_SOURCES_EXHAUSTED',
  packageId: 'PS100001',
  reason: 'PS1DP1 cannot be reached',
});

function isRefusal(pattern: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof CommandFailure);
    assert.equal(error.code, 'OUT_REFUSED');
    assert.match(error.message, pattern);
    return true;
  };
}

describe('a package that a client fetches (CLIENT-2, ROLE-5)', () => {
  let test: GetTest;
  beforeEach(async () => {
    test = await GetTest.open();
  });
  afterEach(() => test[Symbol.asyncDispose]());

  it('is in the directory, with modes and times; nothing else is left', async () => {
    await test.publish(3, tree);
    const fetched = await test.run();
    assert.deepEqual(await readFile(join(test.out, 'docs', 'big.bin')), big);
    const { mode, mtimeMs } = await stat(join(test.out, 'setup.sh'));
    assert.equal(mode & 0o7777, 0o644);
    assert.equal(Math.floor(mtimeMs), 1_700_000_000_123);
    assert.deepEqual(await readdir(test.directory.join('home')), ['office']);
    const sizeBytes = big.length + 7;
    assert.deepEqual(fetched, {
      packageId: 'PS100001',
      sourceVersion: 3,
      outDirectory: test.out,
      fileCount: 2,
      sizeBytes,
      receivedBytes: sizeBytes,
      durationMs: 0,
      sources: [{ source: nearSource, receivedBytes: sizeBytes }],
    });
    assert.deepEqual(test.events.told, ['begins version 3', 'writing']);
  });

  it('fills a directory that is there and empty, and leaves its mode', async () => {
    await test.publish(1, tree);
    await mkdir(test.out, { recursive: true });
    await chmod(test.out, 0o750);
    await test.run();
    assert.deepEqual((await readdir(test.out)).toSorted(), ['docs', 'setup.sh']);
    assert.equal((await stat(test.out)).mode & 0o7777, 0o750);
  });

  it('goes on after it was broken off: what is here is not fetched again', async () => {
    await test.publish(1, tree);
    test.sentMax = 3;
    await assert.rejects(test.run(), isAbortError);
    assert.ok(!existsSync(test.out));
    test.sentMax = Infinity;
    await test.run();
    assert.equal(test.sent.length, 5, 'four pieces and a small file, each once');
    assert.deepEqual(test.events.told, ['begins version 1', 'goes on with version 1', 'writing']);
    assert.deepEqual(await readFile(join(test.out, 'docs', 'big.bin')), big);
  });

  it('fetches nothing again when it was broken off while the tree was written', async () => {
    await test.publish(1, tree);
    test.events.onEvent = (event) => {
      if (event === 'writing') test.interrupted.abort();
    };
    await assert.rejects(test.run(), isAbortError);
    assert.ok(!existsSync(test.out));
    const again = Object.assign(test, { interrupted: new AbortController() });
    again.events.onEvent = () => {};
    await mkdir(join(test.work, 'tree'), { recursive: true });
    await writeFile(join(test.work, 'tree', 'half'), 'of a file');
    const fetched = await again.run();
    assert.equal(fetched.receivedBytes, 0);
    assert.deepEqual(fetched.sources, []);
    assert.deepEqual((await readdir(test.out)).toSorted(), ['docs', 'setup.sh']);
  });

  it('begins anew when what is here is of another version', async () => {
    await test.publish(1, tree);
    test.sentMax = 2;
    await assert.rejects(test.run(), isAbortError);
    await test.publish(2, { 'setup.sh': Buffer.from('install 2') });
    test.sentMax = Infinity;
    await test.run();
    assert.deepEqual(await readdir(test.out), ['setup.sh']);
    assert.deepEqual(test.events.told.slice(1), ['begins version 2', 'writing']);
  });

  it('fetches again what the disk has damaged meanwhile; a wrong byte never gets out', async () => {
    await test.publish(1, tree);
    test.events.onEvent = (event) => {
      if (event === 'writing') test.interrupted.abort();
    };
    await assert.rejects(test.run(), isAbortError);
    const path = filePathOf(join(test.work, 'library', 'file-lib'), hashOf(big));
    await chmod(path, 0o600);
    await writeFile(path, Buffer.alloc(big.length, 'x'));
    Object.assign(test, { interrupted: new AbortController() });
    test.events.onEvent = () => {};
    await test.run();
    assert.deepEqual(await readFile(join(test.out, 'docs', 'big.bin')), big);
    assert.deepEqual(test.events.told.slice(2), [
      'goes on with version 1',
      'writing',
      'begins version 1',
      'writing',
    ]);
  });

  it('of a package that is unknown leaves nothing', async () => {
    test.located = async () => {
      throw new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId: 'PS100001' });
    };
    await assert.rejects(test.run(), (error) => isErrorWithCode(error, 'PACKAGE_UNKNOWN'));
    assert.deepEqual(await readdir(test.directory.join('home')), []);
  });

  it('ends when the disk is full, and goes on where it was when there is room', async () => {
    await test.publish(1, tree);
    const details = { path: '/home', freeBytes: 1, neededBytes: 2 };
    test.start = test.waitFor(new WaybillError({ code: 'DISK_FULL', ...details }));
    await assert.rejects(test.run(), (error) => isErrorWithCode(error, 'DISK_FULL'));
    test.start = (...args) => test.bringAll(...args);
    await test.run();
    assert.deepEqual(test.events.told, ['begins version 1', 'goes on with version 1', 'writing']);
  });

  it('asks the site for other sources while nobody gives what is missing (CLIENT-2)', async () => {
    const version = await test.publish(1, tree);
    let askedCount = 0;
    test.located = async () => {
      askedCount++;
      if (askedCount === 2) throw noSource;
      return { version, sources: [nearSource] };
    };
    test.start = test.waitFor(noSource);
    const waits = new Promise<void>((resolve) => {
      test.events.onEvent = (event) => {
        if (event === 'waiting') resolve();
      };
    });
    const ended = test.run();
    await waits;
    await test.clock.advance(30_000);
    assert.equal(askedCount, 2, 'the site was away');
    await test.clock.advance(30_000);
    await ended;
    assert.deepEqual(test.events.told, ['begins version 1', 'waiting', 'resumed', 'writing']);
  });

  it('goes over to a newer version when nobody gives the older one any more', async () => {
    await test.publish(1, tree);
    test.start = (...args) => {
      test.start = (...later) => test.bringAll(...later);
      return test.waitFor(noSource)(...args);
    };
    const waits = new Promise<void>((resolve) => {
      test.events.onEvent = (event) => {
        if (event === 'waiting') resolve();
      };
    });
    const ended = test.run();
    await waits;
    await test.publish(2, { 'setup.sh': Buffer.from('install 2') });
    await test.clock.advance(30_000);
    assert.equal((await ended).sourceVersion, 2);
    assert.deepEqual(await readdir(test.out), ['setup.sh']);
  });

  it('is refused where something is, before anything is fetched', async () => {
    await test.publish(1, tree);
    await mkdir(test.out, { recursive: true });
    await writeFile(join(test.out, 'mine'), 'precious');
    await assert.rejects(test.run(), isRefusal(/something is in it$/));
    await assert.rejects(test.run(join(test.out, 'mine')), isRefusal(/it is no directory$/));
    await assert.rejects(test.run(join(test.out, 'mine', 'x')), isRefusal(/it is no directory$/));
    assert.deepEqual(test.sent, []);
    assert.deepEqual(await readdir(test.directory.join('home')), ['office']);
    assert.equal(await readFile(join(test.out, 'mine'), 'utf8'), 'precious');
  });

  it('leaves what came into the directory meanwhile', async () => {
    await test.publish(1, tree);
    test.events.onEvent = (event) => {
      if (event === 'writing') void mkdir(test.out).then(() => writeFile(join(test.out, 'a'), ''));
    };
    await assert.rejects(test.run(), isRefusal(/something came into it meanwhile$/));
    assert.deepEqual(await readdir(test.out), ['a']);
  });

  it('touches no folder that is not its own', async () => {
    await test.publish(1, tree);
    await mkdir(test.work, { recursive: true });
    await writeFile(join(test.work, 'thesis.tex'), 'precious');
    await assert.rejects(test.run(), isRefusal(/"thesis\.tex" in it is not from "waybill get"$/));
    assert.deepEqual(await readdir(test.work), ['thesis.tex']);
    const other = test.directory.join('home', 'other');
    await symlink(test.work, `${other}.waybill-partial`);
    await assert.rejects(test.run(other), isRefusal(/it is no directory$/));
  });

  it('is one process at a time', async () => {
    await test.publish(1, tree);
    await mkdir(test.directory.join('home'));
    await using folder = await WorkFolder.open(test.work);
    assert.equal(folder.path, test.work);
    await assert.rejects(test.run(), (error) => isErrorWithCode(error, 'DATA_DIRECTORY_IN_USE'));
  });
});
