import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { hashOf } from '../content-library/content-hash.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { PieceSource } from '../content-source/piece-source.ts';
import type { ValidationReport } from '../domain/content-validation.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import { isAbortError } from '../runtime/abort-error.ts';
import { keySpaces } from '../state-store/key-space.ts';
import type { StateStore } from '../state-store/state-store.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { TestLibrary, type TestTree } from '../testing/test-library.ts';
import { ContentValidation, type ValidationDemand } from './content-validation.ts';
import { FileChecks } from './file-checks.ts';

const run = promisify(execFile);
const packageId = 'PS100001';
const demand: ValidationDemand = { packageId, jobSerial: 7, bytesPerSecond: 0 };
const never = new AbortController().signal;

/** One damage: what is done, what is found, in words. */
interface Damage {
  readonly name: string;
  readonly act: (path: string) => unknown;
  readonly finding: 'damaged' | 'missing';
  readonly detail: RegExp;
}

const damages: readonly Damage[] = [
  {
    name: 'flipped',
    act: (path) => {
      const bytes = readFileSync(path);
      bytes[3] = (bytes[3] ?? 0) ^ 1;
      writeFileSync(path, bytes);
    },
    finding: 'damaged',
    detail: /not those of its hash/,
  },
  { name: 'cut', act: (path) => truncateSync(path, 2), finding: 'damaged', detail: /cut: 2 of/ },
  {
    name: 'longer',
    act: (path) => appendFileSync(path, 'x'),
    finding: 'damaged',
    detail: /longer/,
  },
  { name: 'gone', act: (path) => rmSync(path), finding: 'missing', detail: /^$/ },
  {
    name: 'linked',
    act: (path) => {
      rmSync(path);
      symlinkSync('/etc/hostname', path);
    },
    finding: 'damaged',
    detail: /symbolic link/,
  },
  {
    name: 'directory',
    act: (path) => {
      rmSync(path);
      mkdirSync(path);
      writeFileSync(`${path}/in`, 'it');
    },
    finding: 'damaged',
    detail: /a directory/,
  },
  {
    name: 'pipe',
    act: (path) => {
      rmSync(path);
      // The sweep takes away a folder that has nothing in it.
      mkdirSync(dirname(path), { recursive: true });
      return run('mkfifo', [path]);
    },
    finding: 'damaged',
    detail: /no regular file/,
  },
];

describe('Content validation (PKG-8)', function () {
  this.timeout(30_000);
  let directory: TemporaryDirectory;
  let clock: FakeClock;
  let test: TestLibrary;
  let validation: ContentValidation;
  const tree: Record<string, TestTree | Uint8Array> = {};
  for (const { name } of damages) tree[name] = Buffer.from(`bytes of ${name}`);
  const whole = Buffer.from('whole');
  const big = Buffer.alloc(2_500_000, 'big');
  const content = { ...tree, sub: { whole, again: whole }, big, empty: Buffer.alloc(0) };

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    test = await TestLibrary.open({ directory: directory.path, clock });
    await test.commit(packageId, 1, content);
    validation = await open();
  });
  afterEach(async () => {
    await validation.stop();
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  async function open(
    store: Pick<StateStore, 'records' | 'write'> = test.store,
  ): Promise<ContentValidation> {
    const { library } = test;
    const { logger } = test.log;
    const config = { validationBytesPerSecond: 1e9 };
    const made = new ContentValidation({ library, store, clock, logger }, config);
    await made.start();
    return made;
  }

  const pathOf = (bytes: Uint8Array) => filePathOf(test.library.layout.fileLibrary, hashOf(bytes));
  const bytesOf = (name: string) => tree[name] as Uint8Array;
  const held = (bytes: Uint8Array) =>
    test.library
      .areHeld([{ hash: hashOf(bytes), sizeBytes: bytes.length }])
      .then(([isHeld]) => isHeld);

  /** Hears all; time passes as long as it takes. */
  async function reported(wanted = demand, signal = never): Promise<ValidationReport> {
    let isOver = false;
    const passing = (async () => {
      while (!isOver) {
        await clock.advance(10);
        await nextTurn();
      }
    })();
    try {
      for await (const word of validation.validate(wanted, signal)) {
        if (word.kind === 'report') return word.report;
      }
    } finally {
      isOver = true;
      await passing;
    }
    throw new Error('There was no report');
  }

  it('of what is whole says so, each file once', async () => {
    const report = await reported();
    assert.equal(report.heldVersion, 1);
    assert.equal(report.fileCount, damages.length + 3);
    assert.deepEqual(report.files, []);
    assert.equal(report.damagedCount + report.missingCount, 0);
  });

  it('finds and sets aside whatever stands in place of a file, and keeps what is right', async () => {
    for (const { name, act } of damages) await act(pathOf(bytesOf(name)));
    const report = await reported();
    assert.equal(report.damagedCount, damages.length - 1);
    assert.equal(report.missingCount, 1);
    for (const { name, finding, detail } of damages) {
      const found = report.files.find(({ path }) => path === name);
      assert.equal(found?.finding, finding, name);
      assert.match(found?.detail ?? '', detail);
      assert.equal(await held(bytesOf(name)), false);
    }
    for (const right of [whole, big]) assert.equal(await held(right), true);
    assert.equal(test.library.upkeep.quarantine.count, damages.length - 1);
    assert.deepEqual(
      [...(await test.library.upkeep.lackingFiles())],
      [[packageId, damages.length - 1]],
    );
  });

  it('puts modes right, and the record of a package, and says so', async () => {
    chmodSync(pathOf(whole), 0o4777);
    const record = `${test.library.layout.packageLibrary}/${packageId}.json`;
    const right = readFileSync(record);
    writeFileSync(record, '{}');
    const report = await reported();
    assert.deepEqual([report.damagedCount, report.mendedCount], [2, 2]);
    assert.deepEqual(
      report.files.map(({ path }) => path),
      [`${packageId}.json`, 'sub/again'],
    );
    assert.match(report.files[1]?.detail ?? '', /mode was 4777/);
    assert.equal(statSync(pathOf(whole)).mode & 0o7777, 0o644);
    assert.deepEqual(readFileSync(record), right);
    assert.equal(await held(whole), true);
  });

  for (const part of ['manifest', 'signature'] as const) {
    it(`judges no file by a ${part} that is damaged, and sets that aside`, async () => {
      const path = `${test.library.layout.dataLibrary}/${packageId}.1.${part}`;
      const bytes = readFileSync(path);
      bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
      writeFileSync(path, bytes);
      const report = await reported();
      assert.deepEqual([report.damagedCount, report.damagedManifestCount], [1, 1]);
      assert.equal(report.files[0]?.path, `${packageId}.1.${part}`);
      assert.equal(report.fileCount, 0);
      assert.equal(test.library.upkeep.quarantine.count, 1);
      assert.equal(await held(whole), true);
    });
  }

  it('names other packages that lack a file now', async () => {
    await test.commit('PS100002', 1, { shared: whole });
    writeFileSync(pathOf(whole), 'other');
    const report = await reported();
    assert.deepEqual(report.alsoUsedBy, ['PS100002']);
    assert.equal(report.damagedCount, 1);
    // The other one finds it, too, and knows that it was damaged; nobody is told a second time.
    const second = await reported({ ...demand, packageId: 'PS100002', jobSerial: 8 });
    assert.deepEqual([second.damagedCount, second.alsoUsedBy.length], [1, 0]);
  });

  it('says what it found once more to who asks for the same, and reads again for another', async () => {
    writeFileSync(pathOf(whole), 'other');
    const first = await reported();
    assert.equal(first.damagedCount, 1);
    assert.deepEqual(await reported(), first);
    await test.adopt(packageId, [whole]);
    assert.deepEqual(await reported(), first, 'it was not read again');
    assert.equal((await reported({ ...demand, jobSerial: 8 })).damagedCount, 0);
  });

  it('goes on where it was, and knows what it set aside before a crash', async () => {
    for (const { name, act } of damages) await act(pathOf(bytesOf(name)));
    // It found all of it, and the end of that step was not written.
    const first = await reported();
    const states = test.store.records({ name: 'content-validations' });
    const begun = {
      ...((await states.get(packageId)) as object),
      ...{ isDone: false, contentIndex: 0, entryIndex: 0, doneBytes: 0, fileCount: 0 },
      ...{ damagedCount: 0, missingCount: 0, files: [], alsoUsedBy: [] },
    };
    await test.store.write([states.put(packageId, begun)], { sync: false });
    const again = await reported();
    assert.deepEqual(
      [again.damagedCount, again.missingCount],
      [first.damagedCount, first.missingCount],
    );
    // What is behind the place it had written is not looked at again.
    const entryIndex = Object.keys(content).length;
    await test.store.write([states.put(packageId, { ...begun, entryIndex })], { sync: false });
    assert.ok((await reported()).fileCount < again.fileCount);
  });

  it('ends as soon as nobody listens, and keeps its place', async () => {
    const listening = new AbortController();
    const words = validation.validate({ ...demand, bytesPerSecond: 1024 }, listening.signal);
    await words.next();
    listening.abort();
    await assert.rejects(async () => {
      for await (const _ of words);
    }, isAbortError);
    assert.equal((await reported()).heldVersion, 1);
  });

  it('of two who ask hears the later one', async () => {
    const slow = { ...demand, bytesPerSecond: 1024 };
    const words = validation.validate({ ...slow, jobSerial: 9 }, never);
    await words.next();
    await assert.rejects(validation.validate(slow, never).next(), (error: unknown) =>
      isErrorWithCode(error, 'ACTION_SUPERSEDED'),
    );
    const ended = assert.rejects(async () => {
      for await (const _ of words);
    }, isAbortError);
    await reported({ ...demand, jobSerial: 10 });
    await ended;
  });

  it('begins though what it found of a package that is gone cannot be forgotten: the disk is full', async () => {
    const rows = test.store.records(keySpaces.contentValidations);
    const row = {} as Parameters<typeof rows.put>[1];
    await test.store.write([rows.put('PS1FFFFF', row)], { sync: false });
    const full = { code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 } as const;
    await open({
      records: (space) => test.store.records(space),
      write: () => Promise.reject(new WaybillError(full)),
    });
    assert.ok(await rows.get('PS1FFFFF'));
    await open();
    assert.equal(await rows.get('PS1FFFFF'), undefined);
  });

  it('of a package that is not here says that', async () => {
    assert.equal((await reported({ ...demand, packageId: 'PS100009' })).heldVersion, 0);
  });

  it('sends nothing of a file that was open when it was set aside', async () => {
    const { library } = test;
    const fileLibraryDirectory = library.layout.fileLibrary;
    const source = new PieceSource({ fileLibraryDirectory, cacheBytesMax: 0, openFilesMax: 4 });
    library.upkeep.quarantine.onTaken(() => source.forgetRead());
    const group = Symbol('reader');
    const leave = source.join(group);
    const file = { hash: hashOf(big), sizeBytes: big.length };
    const piece = { kind: 'piece', file, pieceIndex: 0, sizeBytes: 1024 * 1024 } as const;
    (await source.message(group, piece)).done();
    const bytes = Buffer.from(big);
    bytes[5] = 1;
    writeFileSync(pathOf(big), bytes);
    await reported();
    await assert.rejects(source.message(group, piece), (error: unknown) =>
      isErrorWithCode(error, 'FILE_NOT_HELD'),
    );
    leave();
    await source.stop();
  });

  it('reads no faster than it is told, in small parts', async () => {
    const fileLibraryDirectory = test.library.layout.fileLibrary;
    const checks = new FileChecks({ fileLibraryDirectory, clock });
    checks.setRate(1_000_000);
    const parts: number[] = [];
    const beganMs = clock.monotonicMs();
    let isOver = false;
    const checking = checks
      .check([{ hash: hashOf(big), sizeBytes: big.length }], {
        signal: never,
        onRead: (bytes) => parts.push(bytes),
      })
      .finally(() => {
        isOver = true;
      });
    while (!isOver) {
      await clock.advance(20);
      await nextTurn();
    }
    const [checked] = await checking;
    await checks.stop();
    assert.equal(checked?.verdict.kind, 'right');
    assert.ok(Math.max(...parts) <= 100_000, 'no part is more than a tenth of a second');
    assert.ok(clock.monotonicMs() - beganMs >= 2_300, 'two and a half seconds for 2.5 MB');
  });
});

describe('Quarantine', () => {
  it('keeps what is set aside for its days and within its bytes, also over a restart', async () => {
    await using directory = await TemporaryDirectory.create();
    const { Quarantine } = await import('../content-library/quarantine.ts');
    const clock = new FakeClock();
    const config = { keptMs: 1_000, bytesMax: 25, countMax: 10 };
    const place = directory.join('quarantine');
    const quarantine = new Quarantine(place, clock, config);
    await quarantine.load();
    const put = async (name: string) => {
      const path = (await quarantine.prepare())(name);
      writeFileSync(path, 'ten bytes!');
      await quarantine.noteTaken([path]);
    };
    await put('a');
    await clock.advance(100);
    await put('b');
    await clock.advance(100);
    await put('c');
    assert.equal(quarantine.setAsideAtMs('a'), undefined, 'the oldest made room');
    assert.equal(quarantine.sizeBytes, 20);
    const again = new Quarantine(place, clock, config);
    await again.load();
    assert.deepEqual([...again.names()], ['b', 'c']);
    await clock.advance(950);
    await again.trim();
    assert.deepEqual([...again.names()], ['c']);
  });
});
