import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { PieceSource } from '../../shared/content-source/piece-source.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { type ErrorCode, isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { TestLibrary, toVersion } from '../../shared/testing/test-library.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { FileClaims } from './file-claims.ts';
import { PushTransfer, type PushTransferNeeds } from './push-transfer.ts';
import { FakeDistributionPoint } from './testing/fake-distribution-point.ts';
import { unreachable } from './testing/test-transfers.ts';
import { TransferProgress } from './transfer-progress.ts';

const packageId = 'PS100001';
const otherId = 'PS100002';
const big = Buffer.alloc(3 * pieceBytes + 9, 'b');
const shared = Buffer.alloc(2 * pieceBytes, 's');
const small = Buffer.from('small');
const code =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    isErrorWithCode(error, ...codes);

/** A moment a test decides about. */
function newGate() {
  let resolve = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

describe('push transfer', () => {
  let directory: TemporaryDirectory;
  let test: TestLibrary;
  let clock: FakeClock;
  let pieceSource: PieceSource;
  let dp: FakeDistributionPoint;
  let claims: FileClaims;
  let arbiter: TransferArbiter;
  let controller: AbortController;
  let isOver: boolean;
  /** What transfers have slept for: 60 s beside their streams, else for another transfer. */
  let sleptMs: number[];

  beforeEach(async function () {
    this.timeout(10_000);
    isOver = false;
    sleptMs = [];
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    test = await TestLibrary.open({ directory: directory.path, clock });
    pieceSource = new PieceSource({
      fileLibraryDirectory: test.library.layout.fileLibrary,
      cacheBytesMax: 0,
      openFilesMax: 4,
    });
    dp = new FakeDistributionPoint(test.library);
    claims = new FileClaims();
    arbiter = new TransferArbiter(clock);
    controller = new AbortController();
  });
  afterEach(async function () {
    this.timeout(10_000);
    isOver = true;
    await pieceSource.stop();
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  function transfer(
    facts: Partial<DistributionJob> = {},
    to = dp,
    permit: PushTransferNeeds['permit'] = arbiter.open(['dp/PS1DP1'], 2),
  ) {
    const job = testJob({ packageId, ...facts });
    const totals: number[] = [];
    const progress: TransferProgress = new TransferProgress({
      monotonicMs: () => clock.monotonicMs(),
      onChange: () => totals.push(progress.totalBytes),
      job,
    });
    /** What the DP had been asked when it was told that sending begins. */
    const begunAfter: string[] = [];
    const onBegun = async () => {
      begunAfter.push(...to.calls);
    };
    const sleep = (ms: number, signal: AbortSignal) => {
      sleptMs.push(ms);
      return clock.sleep(ms, signal);
    };
    const { library } = test;
    const needs = { library, pieceSource, channel: to.channel, claims, permit, sleep };
    const config = { lanesMax: 3, callDeadlineMs: 1_000, contentDeadlineMs: 60_000 };
    const run = () =>
      new PushTransfer(needs, config, {
        ...{ job, progress, signal: controller.signal, onBegun },
      }).run();
    return { run, progress, totals, begunAfter };
  }

  /** Lets the transfer work until the condition is true, or the test is over; time stands still. */
  async function until(condition: () => boolean): Promise<void> {
    while (!condition() && !isOver) await new Promise(setImmediate);
  }

  const namesSent = () => dp.sent.flatMap(({ names }) => names);
  const countOf = (bytes: Buffer) =>
    namesSent().filter((name) => name.startsWith(hashOf(bytes))).length;

  it('begins, brings the manifest, asks, sends and commits (PTM-7)', async () => {
    const version = await test.commit(packageId, 1, { a: small, b: big, empty: Buffer.alloc(0) });
    const { run, progress } = transfer();
    assert.equal(await run(), version.packageHash);
    assert.deepEqual(dp.calls, [
      'begin',
      'putManifest',
      `manifest ${packageId}.1`,
      `inspect ${packageId}.1`,
      'commit',
    ]);
    await using content = await test.library.openContent(`${packageId}.1`);
    const parts = [await readFile(content.manifestPath), await readFile(content.signaturePath)];
    assert.deepEqual(dp.manifests.get(`${packageId}.1`), Buffer.concat(parts));
    assert.equal(namesSent().length, 6);
    assert.equal(progress.expectedBytes, big.length + small.length);
    assert.equal(progress.sentBytes, big.length + small.length);
    assert.equal(progress.remainingBytes, 0);
    assert.equal(dp.unacknowledgedMax, 1);
  });

  it('sends nothing that is there, and opens no stream for it (PTM-4)', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    dp.files.add(hashOf(small)).add(hashOf(big));
    await transfer().run();
    assert.equal(dp.streamCount, 0);
    assert.equal(dp.sent.length, 0);
  });

  it('asks before whatever leaves: manifests, in calls or inside Begin, and content (PTM-6)', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    await using content = await test.library.openContent(`${packageId}.1`);
    const parts = [await readFile(content.manifestPath), await readFile(content.signaturePath)];
    const manifestBytes = Buffer.concat(parts).length;
    const { length: contentBytes } = Buffer.concat([small, big]);
    for (const takesInline of [false, true]) {
      dp = new FakeDistributionPoint(test.library);
      dp.takesInline = takesInline;
      let takenBytes = 0;
      const count = (bytes: number) => {
        takenBytes += bytes;
        return bytes;
      };
      const permit = {
        partBytes: pieceBytes,
        take: async (bytes: number) => void count(bytes),
        takePart: async (bytes: number) => count(bytes),
      };
      await transfer({}, dp, permit).run();
      // Begin brings small manifests whether the DP keeps them or not.
      const bytes = contentBytes + (takesInline ? 1 : 2) * manifestBytes;
      assert.ok(takenBytes >= bytes && takenBytes < bytes + 500, `${takenBytes}, not ${bytes}`);
    }
  });

  it('sends no more inside Begin than may leave in one go (PTM-6)', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    dp.takesInline = true;
    const takenBytes: number[] = [];
    const permit = {
      partBytes: 16,
      take: async (bytes: number) => void takenBytes.push(bytes),
      takePart: async (bytes: number) => bytes,
    };
    await transfer({}, dp, permit).run();
    assert.deepEqual(takenBytes, []);
    assert.ok(dp.calls.some((call) => call.startsWith('manifest ')));
  });

  it('sends everything for a redistribution (PKG-6)', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    dp.files.add(hashOf(small)).add(hashOf(big));
    await transfer({ action: 'redistribute' }).run();
    assert.equal(namesSent().length, 5);
  });

  it('goes on inside a file with the pieces that are missing (PTM-7)', async () => {
    await test.commit(packageId, 1, { b: big });
    const held = new PieceSet(4);
    held.add(0);
    held.add(2);
    dp.pieces.set(hashOf(big), held);
    const { run, progress } = transfer();
    await run();
    assert.deepEqual(namesSent().sort(), [`${hashOf(big)}:1`, `${hashOf(big)}:3`]);
    assert.equal(progress.sentBytes, pieceBytes + 9);
    assert.equal(progress.expectedBytes, pieceBytes + 9);
  });

  it('resumes after the DP was lost, and sends one message a stream again at most', async () => {
    await test.commit(packageId, 1, { b: Buffer.alloc(20 * pieceBytes, 'x'), c: big });
    let count = 0;
    const lost = new WaybillError({
      code: 'PEER_UNREACHABLE',
      peer: 'it',
      address: 'a',
      reason: 'x',
    });
    dp.onContent = () => {
      count += 1;
      if (count > 7) throw lost;
    };
    await assert.rejects(transfer().run(), lost);
    dp.onContent = () => {};
    const acknowledged = namesSent().slice(0, 7);
    const failedCount = namesSent().length - 7;
    assert.ok(failedCount <= 3, 'one message a stream');
    dp.sent.length = 0;
    await transfer().run();
    assert.ok(namesSent().every((name) => !acknowledged.includes(name)));
    assert.equal(namesSent().length + acknowledged.length, 24);
  });

  it('says that sending begins when the DP has taken the job, not before (8204)', async () => {
    await test.commit(packageId, 1, { a: small });
    const { run, begunAfter } = transfer();
    dp.onCall = async () => {
      throw unreachable();
    };
    await assert.rejects(run(), code('PEER_UNREACHABLE'));
    assert.deepEqual(begunAfter, []);
    dp.onCall = async () => {};
    await run();
    assert.deepEqual(begunAfter, ['begin', 'begin']);
  });

  it('sends a file that stands twice in a package once', async () => {
    const tree = { a: shared, b: shared, c: small, d: { e: small } };
    const version = await test.commit(packageId, 1, tree);
    const { run, progress } = transfer();
    assert.equal(await run(), version.packageHash);
    assert.equal(countOf(shared), 2);
    assert.equal(countOf(small), 1);
    assert.equal(progress.percent, 100);
  });

  it('inspects all contents before it sends, so that what remains is known', async () => {
    const first = await test.stage(packageId, 'first.1', { a: small });
    const second = await test.stage(packageId, 'second.1', { b: big });
    const version = toVersion(packageId, 1, [first.descriptor, second.descriptor]);
    const staged = [first.staged, second.staged];
    await test.library.commitPackage({ version, jobSerial: 1, staged });
    const { run, progress, totals } = transfer();
    dp.onContent = () => assert.equal(progress.expectedBytes, small.length + big.length);
    await run();
    assert.equal(progress.percent, 100);
    assert.deepEqual([...new Set(totals)], [small.length + big.length], 'it never jumps');
  });

  it('inspects again and sends what a DP has lost since it said it had it', async () => {
    const version = await test.commit(packageId, 1, { a: small, b: big });
    let commitCount = 0;
    dp.onCall = (method) => {
      if (method !== 'commit') return;
      commitCount += 1;
      if (commitCount <= 2) dp.files.delete(hashOf(small));
    };
    assert.equal(await transfer().run(), version.packageHash);
    assert.equal(countOf(small), 3);
    assert.equal(countOf(big), 4);
  });

  it('gives a DP up that keeps losing what it acknowledges', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    dp.onCall = (method) => {
      if (method === 'commit') dp.files.clear();
    };
    await assert.rejects(transfer().run(), code('CONTENT_INCOMPLETE'));
    assert.equal(dp.calls.filter((call) => call === 'commit').length, 3);
  });

  it('believes no DP that serves something else (PTM-8)', async () => {
    await test.commit(packageId, 1, { a: small });
    dp.claimedHash = '0'.repeat(64);
    await assert.rejects(transfer().run(), code('CONTENT_HASH_MISMATCH'));
  });

  it('says that the site does not hold the version: none, an older or a newer one', async () => {
    await assert.rejects(transfer().run(), code('CONTENT_NOT_HELD'));
    await test.commit(packageId, 2, { a: small });
    for (const sourceVersion of [1, 3]) {
      await assert.rejects(transfer({ sourceVersion }).run(), code('CONTENT_NOT_HELD'));
    }
    assert.deepEqual(dp.calls, []);
  });

  it('says which file the site has lost, and frees what it had in hand', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    const other = new PieceSource({
      fileLibraryDirectory: directory.join('nowhere'),
      cacheBytesMax: 0,
      openFilesMax: 4,
    });
    const real = pieceSource;
    pieceSource = other;
    await assert.rejects(transfer().run(), code('FILE_NOT_HELD'));
    await other.stop();
    pieceSource = real;
    await transfer().run();
  });

  it('brings a DP no manifest that is not of the package, whatever it asks for', async () => {
    await test.commit(packageId, 1, { a: small });
    await test.commit(otherId, 1, { secret: shared });
    dp.askedManifests = [`${otherId}.1`, '../../etc/passwd', `${packageId}.1`, `${packageId}.1`];
    await transfer().run();
    assert.deepEqual([...dp.manifests.keys()], [`${packageId}.1`]);
  });

  it('refuses an answer to Inspect that is not about the content', async () => {
    await test.commit(packageId, 1, { a: small });
    const lies: [string, (typeof dp)['tamperInspect']][] = [
      ['entry', (part) => ({ ...part, files: [{ entryIndex: '1', piecesHeld: Buffer.alloc(0) }] })],
      [
        'negative',
        (part) => ({ ...part, files: [{ entryIndex: '-1', piecesHeld: Buffer.alloc(0) }] }),
      ],
      ['twice', ({ files, missingBytes }) => ({ files: [...files, ...files], missingBytes })],
      ['missing', (part) => ({ ...part, missingBytes: '18446744073709551615' })],
    ];
    for (const [name, lie] of lies) {
      dp.tamperInspect = lie;
      await assert.rejects(transfer().run(), code('MESSAGE_INVALID'), name);
    }
  });

  describe('to a DP that takes manifests inside Begin', () => {
    beforeEach(() => {
      dp.takesInline = true;
    });

    it('begins, sends and commits, and asks for nothing else (PTM-7)', async () => {
      const version = await test.commit(packageId, 1, { a: small, b: big });
      const { run, progress } = transfer();
      assert.equal(await run(), version.packageHash);
      assert.deepEqual(dp.calls, ['begin', `inline ${packageId}.1`, 'commit']);
      assert.equal(namesSent().length, 5);
      assert.equal(progress.sentBytes, big.length + small.length);
    });

    it('inspects again what a DP has lost since it began', async () => {
      const version = await test.commit(packageId, 1, { a: small, b: big });
      let isLost = false;
      dp.onCall = (method) => {
        if (method !== 'commit' || isLost) return;
        isLost = true;
        dp.files.delete(hashOf(small));
      };
      assert.equal(await transfer().run(), version.packageHash);
      assert.equal(dp.calls.filter((call) => call.startsWith('inspect')).length, 1);
      assert.equal(countOf(small), 2);
      assert.equal(countOf(big), 4);
    });

    it('refuses an answer that is not about the content', async () => {
      await test.commit(packageId, 1, { a: small });
      dp.tamperInspect = ({ files, missingBytes }) => ({
        files: [...files, ...files],
        missingBytes,
      });
      await assert.rejects(transfer().run(), code('MESSAGE_INVALID'));
    });

    it('says that its own manifest is damaged', async () => {
      await test.commit(packageId, 1, { a: small });
      await using content = await test.library.openContent(`${packageId}.1`);
      const bytes = await readFile(content.manifestPath, 'latin1');
      await writeFile(content.manifestPath, bytes.replace('"a"', '"b"'), 'latin1');
      await assert.rejects(transfer().run(), code('CONTENT_HASH_MISMATCH', 'MANIFEST_INVALID'));
    });
  });

  it('ends when it is aborted, whatever it does, and frees what it had in hand', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    const reason = new Error('withdrawn');
    const hang = () => new Promise<void>(() => {});
    dp.onContent = hang;
    const running = transfer().run();
    const ended = assert.rejects(running, reason);
    await until(() => dp.sent.length === 3);
    controller.abort(reason);
    await ended;
    assert.equal(claims.claim(hashOf(big), {}), 'mine');
    // Only the sweep of the library sleeps, once it has come so far.
    await until(() => clock.sleeperCount === 1);
  });

  it('gives a DP up that is connected and does nothing (PTM-2)', async () => {
    await test.commit(packageId, 1, { b: big });
    dp.onContent = () => new Promise<void>(() => {});
    const ended = assert.rejects(transfer().run(), code('DEADLINE_EXCEEDED'));
    await until(() => dp.sent.length === 3 && clock.sleeperCount > 0);
    await clock.advance(120_000);
    await clock.advance(120_000);
    await ended;
  });

  describe('of a file that another transfer has in hand', () => {
    let first: PackageVersion;
    let second: PackageVersion;

    beforeEach(async () => {
      first = await test.commit(packageId, 1, { a: shared, b: small });
      second = await test.commit(otherId, 1, { a: shared, c: big });
    });

    it('leaves it to the other, waits for its end, and sends the rest meanwhile', async () => {
      const gate = newGate();
      dp.onContent = ({ jobSerial }) => (jobSerial === 1 ? gate.promise : undefined);
      const running = transfer({ jobSerial: 1 }).run();
      await until(() => dp.sent.length === 3);
      const { run, progress } = transfer({ jobSerial: 2, packageId: otherId });
      const waiting = run();
      await until(() => sleptMs.includes(1_000));
      gate.resolve();
      assert.equal(await running, first.packageHash);
      assert.equal(await waiting, second.packageHash);
      assert.equal(countOf(shared), 2, 'each piece was sent once');
      assert.equal(progress.sentBytes, big.length);
      assert.equal(progress.percent, 100);
    });

    it('sends it when the other has failed', async () => {
      const gate = newGate();
      dp.onContent = ({ jobSerial }) => (jobSerial === 1 ? gate.promise : undefined);
      const failing = assert.rejects(transfer({ jobSerial: 1 }).run(), /lost/);
      await until(() => dp.sent.length === 3);
      const waiting = transfer({ jobSerial: 2, packageId: otherId }).run();
      await until(() => sleptMs.includes(1_000));
      gate.reject(new Error('lost'));
      await failing;
      assert.equal(await waiting, second.packageHash);
    });

    it('goes on without the end of the other, once the file is there', async () => {
      const owner = {};
      claims.claim(hashOf(shared), owner);
      const waiting = transfer({ jobSerial: 2, packageId: otherId }).run();
      await until(() => sleptMs.includes(1_000));
      assert.ok(!dp.calls.includes('commit'));
      dp.files.add(hashOf(shared));
      await clock.advance(1_000);
      assert.equal(await waiting, second.packageHash);
    });

    it('looks again less and less often while nothing changes', async () => {
      claims.claim(hashOf(shared), {});
      const waiting = transfer({ jobSerial: 2, packageId: otherId }).run();
      const ended = assert.rejects(waiting);
      const inspectCount = () => dp.calls.filter((call) => call.startsWith('inspect')).length;
      for (const [index, seconds] of [1, 2, 4, 8, 16, 30, 30].entries()) {
        await until(() => sleptMs.at(-1) === seconds * 1_000 && inspectCount() === index + 1);
        await clock.advance(seconds * 1_000 - 1);
        assert.equal(inspectCount(), index + 1);
        await clock.advance(1);
      }
      controller.abort();
      await ended;
    });
  });
}).timeout(10_000);
