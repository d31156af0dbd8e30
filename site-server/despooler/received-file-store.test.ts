import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readdir, readFile, truncate, utimes, writeFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { type ErrorCode, isErrorWithCode } from '../../shared/domain/errors.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import type { ArrivingStream } from './arrival.ts';
import { defaultReceivedFileConfig, type ReceivedFileConfig } from './received-file-config.ts';
import { ReceivedFileStore } from './received-file-store.ts';
import { FakePackageFiles } from './testing/fake-package-files.ts';

const dayMs = 86_400_000;

describe('Received files', () => {
  let place: TemporaryDirectory;
  let clock: FakeClock;
  let files: FakePackageFiles;
  let freeBytes: number;
  let measured: () => number;
  let stores: ReceivedFileStore[];
  let store: ReceivedFileStore;

  const bytes = Buffer.from(new SeededRandom(7).bytes(300_000));
  const file = { fileHash: hashOf(bytes), fileBytes: bytes.length };
  /** A message's own memory: it is given away. */
  const cut = (from: number, to = bytes.length) => Buffer.from(bytes.subarray(from, to));
  const isCode = (code: ErrorCode) => (error: unknown) => isErrorWithCode(error, code);
  const part = (fileHash = file.fileHash, siteCode = 'CS1') =>
    place.join('despool', `${siteCode}-${fileHash}.part`);

  const open = async (config: Partial<ReceivedFileConfig> = {}): Promise<ReceivedFileStore> => {
    const opened = new ReceivedFileStore(
      {
        packageFiles: files,
        clock,
        logger: new CapturedLog().logger,
        room: { measure: async () => measured(), require: async () => {} },
      },
      { ...defaultReceivedFileConfig, directory: place.join('despool'), ...config },
    );
    stores.push(opened);
    await opened.start();
    return opened;
  };
  const by = (siteCode: string, requestId = '1') => ({ siteCode, requestId });
  const begin = (offsetBytes: number, bringer = by('CS1')): Promise<ArrivingStream> =>
    store.receive(file, { bringer, offsetBytes });
  /** Sends what lies between, in messages of a size. */
  const put = async (from: number, to = bytes.length, stepBytes = 50_000) => {
    using stream = await begin(from);
    for (let at = from; at < to; at += stepBytes) {
      await stream.write(cut(at, Math.min(to, at + stepBytes)));
    }
    if (to === bytes.length) await stream.finish();
  };
  const arrived = () => readFile(files.pathOf(file.fileHash));

  beforeEach(async () => {
    place = await TemporaryDirectory.create();
    clock = new FakeClock(Date.now());
    files = new FakePackageFiles(place.join('package-files'));
    freeBytes = 1_000_000;
    measured = () => freeBytes;
    stores = [];
    store = await open();
  });
  afterEach(async () => {
    for (const opened of stores) await opened.stop();
    await place[Symbol.asyncDispose]();
  });

  it('become package files when they are whole and their hash is right (REP-6)', async () => {
    assert.equal(await store.offer(file, by('CS1')), 0);
    await put(0);
    assert.deepEqual(await arrived(), bytes);
    assert.deepEqual(files.adopted, [file]);
    assert.equal(existsSync(part()), false);
  });

  it('are not sent again when they are here whole, for whomever (REP-5)', async () => {
    await put(0);
    assert.equal(await store.offer(file, by('CS2')), bytes.length);
    await assert.rejects(begin(bytes.length), isCode('FILE_OFFSET_MISMATCH'));
    await assert.rejects(begin(0), isCode('FILE_OFFSET_MISMATCH'));
  });

  it('go on at any byte after a cut, and after a kill (REP-5)', async () => {
    const random = new SeededRandom(3);
    for (let held = 0; held < bytes.length; ) {
      const next = Math.min(bytes.length, held + 1 + random.below(40_000));
      // A new instance on the same folder, every other time: the process was killed.
      if (random.below(2) === 0) store = await open();
      assert.equal(await store.offer(file, by('CS1')), held);
      await put(held, next, 7_000);
      held = next;
    }
    assert.deepEqual(await arrived(), bytes);
  });

  it('that were whole when the receiver was killed need no byte more', async () => {
    await put(0, bytes.length - 1);
    await writeFile(part(), bytes);
    store = await open();
    assert.equal(await store.offer(file, by('CS1')), bytes.length);
    assert.deepEqual(await arrived(), bytes);
  });

  it('are tried again when they could not be moved', async () => {
    files.onAdopt = async () => {
      throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
    };
    await assert.rejects(put(0));
    files.onAdopt = async () => {};
    assert.equal(await store.offer(file, by('CS1')), bytes.length);
    assert.deepEqual(await arrived(), bytes);
  });

  it('with another hash are refused, and nothing of them is kept (REP-7)', async () => {
    const wrong = Buffer.from(bytes);
    wrong[123_456] = (wrong[123_456] ?? 0) ^ 1;
    {
      using stream = await begin(0);
      await stream.write(wrong);
      await assert.rejects(stream.finish(), isCode('FILE_HASH_MISMATCH'));
    }
    assert.deepEqual(await readdir(place.join('despool')), []);
    assert.deepEqual(files.adopted, []);
    assert.equal(await store.offer(file, by('CS1')), 0);
    await put(0);
    assert.deepEqual(await arrived(), bytes);
  });

  it('damaged on disk while they waited are found out, and begun anew (REP-7)', async () => {
    await put(0, 200_000);
    const damaged = await readFile(part());
    damaged[5] = (damaged[5] ?? 0) ^ 1;
    await writeFile(part(), damaged);
    store = await open();
    await assert.rejects(put(200_000), isCode('FILE_HASH_MISMATCH'));
    await put(0);
    assert.deepEqual(await arrived(), bytes);
  });

  it('shortened on disk go on from what is left', async () => {
    await put(0, 200_000);
    await truncate(part(), 1_001);
    store = await open();
    assert.equal(await store.offer(file, by('CS1')), 1_001);
    await put(1_001);
    assert.deepEqual(await arrived(), bytes);
  });

  it('longer than promised are refused, before anything is written', async () => {
    using stream = await begin(0);
    await stream.write(cut(0, 299_999));
    await assert.rejects(stream.write(Buffer.alloc(2)), isCode('MESSAGE_INVALID'));
    assert.equal((await readFile(part())).length, 299_999);
  });

  it('are refused from any other byte than the next one', async () => {
    await put(0, 1_000);
    for (const offset of [0, 999, 1_001]) {
      await assert.rejects(begin(offset), isCode('FILE_OFFSET_MISMATCH'));
    }
    await put(1_000);
    assert.deepEqual(await arrived(), bytes);
  });

  it('are brought by one stream at a time: another try of that request takes over', async () => {
    using first = await begin(0);
    await first.write(cut(0, 10));
    using second = await begin(10);
    assert.equal(first.signal.aborted, true);
    await assert.rejects(first.write(cut(10, 20)), isCode('FILE_ALREADY_ARRIVING'));
    await second.write(cut(10));
    await second.finish();
    assert.deepEqual(await arrived(), bytes);
  });

  it('are not taken from a second request while the first one brings them', async () => {
    {
      using first = await begin(0);
      await first.write(cut(0, 10));
      await assert.rejects(begin(10, by('CS1', '2')), isCode('FILE_ALREADY_ARRIVING'));
      await assert.rejects(store.offer(file, by('CS1', '2')), isCode('FILE_ALREADY_ARRIVING'));
      await first.write(cut(10, 20));
    }
    assert.equal(await store.offer(file, by('CS1', '2')), 20);
    {
      using second = await begin(20, by('CS1', '2'));
      await second.write(cut(20));
      await second.finish();
    }
    assert.deepEqual(await arrived(), bytes);
  });

  it('of one site are out of the reach of another one that names the same hash (REP-7)', async () => {
    {
      using first = await begin(0);
      await first.write(cut(0, 200_000));
      assert.equal(await store.offer({ ...file, fileBytes: 1 }, by('CS2')), 0);
      assert.equal(await store.offer(file, by('CS2')), 0);
      using poison = await begin(0, by('CS2'));
      await poison.write(Buffer.alloc(100_000));
      await first.write(cut(200_000, 200_001));
    }
    assert.equal(await store.offer({ ...file, fileBytes: 1 }, by('CS2')), 0);
    assert.equal(await store.offer(file, by('CS1')), 200_001);
    await put(200_001);
    assert.deepEqual(await arrived(), bytes);
  });

  it('do not change their length while they arrive', async () => {
    using first = await begin(0);
    await first.write(cut(0, 10));
    const shorter = { ...file, fileBytes: 5 };
    await assert.rejects(store.offer(shorter, by('CS1')), isCode('MESSAGE_INVALID'));
    assert.equal(await first.write(cut(10, 20)), 20);
  });

  it('that many streams write to at once are never mixed up', async () => {
    const random = new SeededRandom(11);
    const races = Array.from({ length: 8 }, async () => {
      for (let round = 0; round < 20 && !files.has(file.fileHash); round++) {
        try {
          const held = await store.offer(file, by('CS1'));
          await put(held, bytes.length, 1 + random.below(30_000));
        } catch (error) {
          const known = ['FILE_ALREADY_ARRIVING', 'FILE_OFFSET_MISMATCH'] as const;
          if (!isErrorWithCode(error, ...known)) throw error;
        }
      }
    });
    await Promise.all(races);
    if (!files.has(file.fileHash)) await put(await store.offer(file, by('CS1')));
    assert.deepEqual(await arrived(), bytes);
    assert.equal(files.adopted.length, 1);
  });

  it('are refused when there is no room for them, and taken when there is', async () => {
    freeBytes = bytes.length - 1;
    await assert.rejects(store.offer(file, by('CS1')), isCode('DISK_FULL'));
    await assert.rejects(begin(0), isCode('DISK_FULL'));
    freeBytes = bytes.length;
    assert.equal(await store.offer(file, by('CS1')), 0);
    await put(0, 100_000);
    freeBytes = 200_000;
    assert.equal(await store.offer(file, by('CS1')), 100_000, 'what is here needs no room');
  });

  it('have no claim to the room that others were promised', async () => {
    freeBytes = bytes.length + 10;
    using stream = await begin(0);
    await stream.write(cut(0, 10));
    const other = { fileHash: hashOf(Buffer.from('other')), fileBytes: 100 };
    await assert.rejects(store.offer(other, by('CS1')), isCode('DISK_FULL'));
  });

  it('find half of the room at least, whatever other sites were promised', async () => {
    freeBytes = 2 * bytes.length;
    const large = { fileHash: hashOf(Buffer.from('large')), fileBytes: freeBytes };
    using stream = await store.receive(large, { bringer: by('CS2'), offsetBytes: 0 });
    await stream.write(cut(0, 10));
    assert.equal(await store.offer(file, by('CS1')), 0);
    await put(0);
    assert.deepEqual(await arrived(), bytes);
  });

  it('are refused when they are too large, or too many at once', async () => {
    store = await open({ fileBytesMax: 1_000, arrivalsMax: 1, partsMax: 2 });
    await assert.rejects(store.offer(file, by('CS1')), isCode('FILE_TOO_LARGE'));
    await assert.rejects(begin(0), isCode('FILE_TOO_LARGE'));
    const small = (name: string) => ({ fileHash: hashOf(Buffer.from(name)), fileBytes: 4 });
    const stream = (name: string) =>
      store.receive(small(name), { bringer: by('CS1'), offsetBytes: 0 });
    {
      using first = await stream('a');
      await first.write(Buffer.from('ab'));
      await assert.rejects(stream('b'), isCode('RECEIVER_BUSY'));
    }
    // The first one rests now, and makes way.
    (await stream('b'))[Symbol.dispose]();
    assert.equal(await store.offer(small('a'), by('CS1')), 2);
  });

  it('make way when there are too many: the longest at rest, of the site that has the most', async () => {
    store = await open({ partsMax: 3 });
    const small = (name: string) => ({ fileHash: hashOf(Buffer.from(name)), fileBytes: 4 });
    const bring = async (name: string, siteCode: string) => {
      using stream = await store.receive(small(name), { bringer: by(siteCode), offsetBytes: 0 });
      await stream.write(Buffer.from('ab'));
      await clock.advance(1);
    };
    await bring('theirs', 'CS1');
    for (const name of ['a', 'b', 'c', 'd']) await bring(name, 'CS2');
    assert.equal(await store.offer(small('theirs'), by('CS1')), 2);
    assert.equal(await store.offer(small('d'), by('CS2')), 2);
    assert.equal(await store.offer(small('a'), by('CS2')), 0);
    const parts = async () => (await readdir(place.join('despool'))).length;
    // What makes way is removed while nobody waits for it.
    while ((await parts()) > 3) await new Promise((next) => setImmediate(next));
  });

  it('of one site take half of the places at most (REP-7)', async () => {
    store = await open({ arrivalsMax: 4 });
    const small = (name: string) => ({ fileHash: hashOf(Buffer.from(name)), fileBytes: 4 });
    const stream = (name: string, siteCode: string) =>
      store.receive(small(name), { bringer: by(siteCode), offsetBytes: 0 });
    await stream('a', 'CS2');
    await stream('b', 'CS2');
    await assert.rejects(stream('c', 'CS2'), isCode('RECEIVER_BUSY'));
    await stream('a', 'CS1');
    await stream('b', 'CS1');
  });

  it('are not in the way of an answer while they are hashed: whoever asks comes again', async () => {
    await put(0, 1_000);
    let goOn = () => {};
    const has = files.has.bind(files);
    Object.assign(files, {
      has: () => new Promise<boolean>((done) => (goOn = () => done(false))),
    });
    const asked = assert.rejects(store.offer(file, by('CS1')), isCode('RECEIVER_BUSY'));
    await new Promise((next) => setImmediate(next));
    await clock.advance(20_000);
    await asked;
    await assert.rejects(store.offer(file, by('CS1')), isCode('RECEIVER_BUSY'), 'at once');
    Object.assign(files, { has });
    goOn();
    for (let held: number | undefined; held !== 1_000; ) {
      held = await store.offer(file, by('CS1')).catch(() => undefined);
    }
  });

  it('are taken when what nobody needs of whole files makes room for them', async () => {
    freeBytes = 10;
    files.onMakeRoom = () => {
      freeBytes = 1_000_000;
    };
    assert.equal(await store.offer(file, by('CS1')), 0);
  });

  it('that have rested for an hour make way when the disk is full', async () => {
    await put(0, 100_000);
    const other = { fileHash: hashOf(Buffer.from('other')), fileBytes: 150_000 };
    store = await open({});
    freeBytes = 60_000;
    await assert.rejects(store.offer(other, by('CS1')), isCode('DISK_FULL'));
    assert.equal(existsSync(part()), true, 'it may be gone on with in a moment');
    await clock.advance(3_700_000);
    const tooLarge = { ...other, fileBytes: 170_000 };
    await assert.rejects(store.offer(tooLarge, by('CS1')), isCode('DISK_FULL'));
    assert.equal(existsSync(part()), true, 'it would not help');
    measured = () => (existsSync(part()) ? 60_000 : 160_000);
    assert.equal(await store.offer(other, by('CS1')), 0);
    assert.equal(existsSync(part()), false);
  });

  it('that nobody goes on with are removed after seven days', async () => {
    await put(0, 1_000);
    const old = { fileHash: hashOf(Buffer.from('old')), fileBytes: 10 };
    using _ = await store.receive(old, { bringer: by('CS1'), offsetBytes: 0 });
    await store.stop();
    const nowSeconds = clock.nowMs() / 1_000;
    await utimes(part(old.fileHash), nowSeconds, nowSeconds - (7 * dayMs) / 1_000 - 1);
    store = await open();
    while (existsSync(part(old.fileHash))) await new Promise((next) => setImmediate(next));
    assert.equal(existsSync(part()), true);
    assert.equal(await store.offer(file, by('CS1')), 1_000);
  });
});
