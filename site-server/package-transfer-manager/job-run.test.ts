import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { filePathOf } from '../../shared/content-library/library-layout.ts';
import { PieceSource } from '../../shared/content-source/piece-source.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { type ErrorCode, isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { TestLibrary } from '../../shared/testing/test-library.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import type { DistributionPointChannel } from '../distribution-point-connections/distribution-point-connections.ts';
import { StatusManager } from '../status-manager/status-manager.ts';
import { type JobRun, JobRunner } from './job-run.ts';
import { OwnCopyCheck } from './own-copy-check.ts';
import { FakeDistributionPoint } from './testing/fake-distribution-point.ts';
import { TransferPermits } from './transfer-permits.ts';
import { TransferProgress } from './transfer-progress.ts';

const dp: DistributionPoint = {
  dpId: 'PS1DP1',
  address: 'a:1',
  kind: 'standard',
  description: '',
  siteCode: 'PS1',
};

/** Remembers who held a permit. */
class WatchedPermits extends TransferPermits {
  readonly openedFor: (readonly [number, string, number])[] = [];
  readonly #held = new Set<number>();

  override open(...[job, onWindowClosed]: Parameters<TransferPermits['open']>) {
    this.openedFor.push([job.jobSerial, job.dpId, job.priority]);
    this.#held.add(job.jobSerial);
    return super.open(job, onWindowClosed);
  }

  override close(jobSerial: number): void {
    this.#held.delete(jobSerial);
    super.close(jobSerial);
  }

  isHeld(jobSerial: number): boolean {
    return this.#held.has(jobSerial);
  }
}

describe('job runner', () => {
  let directory: TemporaryDirectory;
  let test: TestLibrary;
  let fake: FakeDistributionPoint;
  let pieceSource: PieceSource;
  let runner: JobRunner;
  let freeBytes: number;
  let checkCount: number;
  let status: StatusManager;
  let permits: WatchedPermits;
  /** Of the site whose library it is. */
  let siteCode: string;
  /** Packages that were asked for again at another site. */
  let mended: string[];

  beforeEach(async function () {
    this.timeout(10_000);
    directory = await TemporaryDirectory.create();
    const clock = new FakeClock();
    test = await TestLibrary.open({ directory: directory.path, clock });
    fake = new FakeDistributionPoint(test.library);
    freeBytes = 1_000;
    siteCode = 'PS1';
    mended = [];
    checkCount = 0;
    const { library } = test;
    const fileLibraryDirectory = library.layout.fileLibrary;
    pieceSource = new PieceSource({ fileLibraryDirectory, cacheBytesMax: 0, openFilesMax: 2 });
    const connections = {
      check: async () => {
        checkCount += 1;
        return { dpId: 'PS1DP1', siteCode: 'PS1', agentVersion: '1.0.0', freeBytes };
      },
      channelTo: () => fake.channel as DistributionPointChannel,
    };
    const config = { lanesMax: 2, callDeadlineMs: 1_000, contentDeadlineMs: 60_000 };
    const { store, log } = test;
    status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
    const ownCopies = new OwnCopyCheck({
      library,
      pieceSource,
      status,
      store,
      clock,
      get siteCode() {
        return siteCode;
      },
      contents: { mend: async (packageId: string) => void mended.push(packageId) },
      logger: log.logger,
    });
    const pull = { notify: () => Promise.reject(new Error('nobody pulls here')) };
    const arbiter = new TransferArbiter(clock);
    const transferControls = {
      passagesToDp: (id: string) => [`dp/${id}`],
      onChanged: () => () => {},
    };
    permits = new WatchedPermits({ arbiter, transferControls });
    const needs = { library, pieceSource, connections, clock, ownCopies, permits, pull };
    runner = new JobRunner(needs, config);
  });
  afterEach(async function () {
    this.timeout(10_000);
    await pieceSource.stop();
    await test[Symbol.asyncDispose]();
    await directory[Symbol.asyncDispose]();
  });

  function run(facts: Parameters<typeof testJob>[0], wasDiskFull = false): JobRun {
    const job = testJob(facts);
    const progress = new TransferProgress({ monotonicMs: () => 0, onChange: () => {}, job });
    const { signal } = new AbortController();
    return {
      job,
      dp,
      progress,
      signal,
      onBegun: async () => {},
      onWindowClosed: () => {},
      wasDiskFull,
    };
  }

  it('pushes content and gives the hash the DP verified (PTM-8)', async () => {
    const version = await test.commit('PS100001', 1, { a: Buffer.from('one') });
    const done = { kind: 'done', verifiedHash: version.packageHash };
    assert.deepEqual(await runner.run(run({ action: 'add' })), done);
    assert.equal(checkCount, 0);
  });

  it('holds a permit for the way to the DP as long as it pushes, whatever comes of it', async () => {
    await test.commit('PS100001', 1, { a: Buffer.from('one') });
    const held: string[] = [];
    fake.onCall = async (method) => {
      held.push(`${method}: ${permits.isHeld(1)}`);
      if (method === 'commit')
        throw new WaybillError({ code: 'PEER_FAILED', peer: 'it', reason: 'x' });
    };
    await assert.rejects(runner.run(run({ action: 'add', priority: 3 })), /x/);
    assert.deepEqual([held[0], held.at(-1)], ['begin: true', 'commit: true']);
    assert.equal(permits.isHeld(1), false);
    fake.onCall = () => {};
    await runner.run(run({ action: 'remove' }));
    assert.deepEqual(permits.openedFor, [[1, 'PS1DP1', 3]]);
  });

  it('removes a package with one call', async () => {
    const done = { kind: 'done', verifiedHash: undefined };
    assert.deepEqual(await runner.run(run({ action: 'remove' })), done);
    assert.deepEqual(fake.calls, ['removePackage']);
  });

  it('waits for the answer to a cancellation as for any short call (PKG-9)', async () => {
    const packageHash = Buffer.alloc(32, 1).toString('hex');
    fake.answers.set('cancelAction', {
      installedVersion: 2,
      packageHash: Buffer.from(packageHash, 'hex'),
    });
    const heard = await runner.run(run({ action: 'cancel', cancels: 1 }));
    assert.deepEqual(heard, { kind: 'cancel-heard', held: { sourceVersion: 2, packageHash } });
    assert.equal(fake.deadlineMsOf.get('cancelAction'), 1_000);
  });

  it('begins nothing while a full disk has no room still', async () => {
    await test.commit('PS100001', 1, { a: Buffer.from('one') });
    freeBytes = 2 ** 20 - 1;
    await assert.rejects(runner.run(run({ action: 'add' }, true)), (error) => {
      assert.ok(isErrorWithCode(error, 'DISK_FULL'));
      const { details } = error;
      return details.code === 'DISK_FULL' && details.freeBytes === freeBytes;
    });
    assert.deepEqual(fake.calls, []);
  });

  it('tries for real as soon as a full disk has any room: only the DP knows what it needs', async () => {
    await test.commit('PS100001', 1, { a: Buffer.from('one') });
    freeBytes = 2 ** 20;
    await runner.run(run({ action: 'add' }, true));
    assert.equal(checkCount, 1);
    assert.ok(fake.committedHash);
  });

  describe('when a DP finds bytes that are not what their hash promises', () => {
    const big = Buffer.alloc(2 * pieceBytes, 'b');
    const small = Buffer.from('small');
    const fileOf = (bytes: Buffer) => ({ hash: hashOf(bytes), sizeBytes: bytes.length });
    const isHeld = (bytes: Buffer) => test.library.areHeld([fileOf(bytes)]).then(([held]) => held);
    const fails = (code: ErrorCode) =>
      assert.rejects(runner.run(run({ action: 'add' })), (error) => isErrorWithCode(error, code));

    /** As a DP refuses a piece, it names the hash of the piece. */
    function refuse(bytes: Buffer): void {
      fake.onContent = ({ names }) => {
        if (!names.some((name) => name.startsWith(hashOf(bytes)))) return;
        const details = { expectedHash: 'e'.repeat(64), actualHash: 'a'.repeat(64) };
        throw new WaybillError({ code: 'FILE_HASH_MISMATCH', ...details });
      };
    }

    async function messages() {
      const found = await status.query({ countMax: 10 });
      return found.map(({ messageId, insertionStrings }) => [messageId, ...insertionStrings]);
    }

    beforeEach(() => test.commit('PS100001', 1, { big, small }));

    for (const [what, bytes] of [
      ['a large file', big],
      ['a small file', small],
    ] as const) {
      it(`takes its own copy of ${what} away when that is damaged, and says what to do`, async () => {
        const { hash } = fileOf(bytes);
        const path = filePathOf(test.library.layout.fileLibrary, hash);
        chmodSync(path, 0o644);
        writeFileSync(path, Buffer.alloc(bytes.length, 'x'));
        refuse(bytes);
        await fails('FILE_NOT_HELD');
        assert.deepEqual(
          [await isHeld(big), await isHeld(small)],
          [bytes !== big, bytes !== small],
        );
        assert.deepEqual(await messages(), [
          [
            ...[9002, 'PS100001', '1', `file ${hash}`],
            'Run "waybill package update PS100001" to read the source again.',
          ],
        ]);

        await fails('FILE_NOT_HELD');
        assert.equal((await messages()).length, 1, 'it is told once');
        await test.adopt('PS100001', [bytes]);
        fake.onContent = () => {};
        await runner.run(run({ action: 'add' }));
        assert.ok(fake.committedHash);
      });

      it(`asks for ${what} again at the site that publishes it, where that is another (PKG-6)`, async () => {
        siteCode = 'PS2';
        const path = filePathOf(test.library.layout.fileLibrary, fileOf(bytes).hash);
        chmodSync(path, 0o644);
        writeFileSync(path, Buffer.alloc(bytes.length, 'x'));
        refuse(bytes);
        await fails('FILE_NOT_HELD');
        assert.deepEqual(mended, ['PS100001']);
        assert.equal((await messages())[0]?.at(-1), 'It comes again from site PS1.');
      });

      it(`keeps its own copy of ${what} when that is right`, async () => {
        refuse(bytes);
        await fails('FILE_HASH_MISMATCH');
        assert.deepEqual([await isHeld(big), await isHeld(small)], [true, true]);
        assert.deepEqual(await messages(), []);
      });
    }
  });
}).timeout(10_000);
