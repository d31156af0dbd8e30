import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import type { ContentReader } from '../../shared/content-library/content-reader.ts';
import type { LibraryPackage } from '../../shared/content-library/package-library.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { FileClaims } from './file-claims.ts';
import { PushTransfer, type PushTransferNeeds } from './push-transfer.ts';
import { TransferProgress } from './transfer-progress.ts';

const job = testJob();
const contentId = 'PS100001.1';
const packageHash = 'ab'.repeat(32);
const stallMs = 10_000;
const config = { lanesMax: 1, callDeadlineMs: 1_000, contentDeadlineMs: stallMs };

describe('push transfer', () => {
  let directory: TemporaryDirectory;
  let clock: FakeClock;
  let arbiter: TransferArbiter;
  let missing: number[];
  let takeManifest: (messages: AsyncIterable<unknown>, signal: AbortSignal) => Promise<void>;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    clock = new FakeClock();
    arbiter = new TransferArbiter(clock);
    missing = [];
    takeManifest = async () => {};
  });
  afterEach(() => directory[Symbol.asyncDispose]());

  async function unary(method: string): Promise<object> {
    if (method === 'begin') return { contentIdsWithoutManifest: [contentId], inspected: [] };
    const missingFiles = missing.shift();
    if (missingFiles === undefined) return { packageHash: Buffer.from(packageHash, 'hex') };
    throw new WaybillError({ code: 'CONTENT_INCOMPLETE', packageId: job.packageId, missingFiles });
  }

  const channel = {
    unary,
    async *serverStream() {},
    clientStream: (
      _: string,
      messages: AsyncIterable<unknown>,
      { signal }: { signal: AbortSignal },
    ) => takeManifest(messages, signal),
    duplex: () => assert.fail('nothing was asked for'),
  } as unknown as PushTransferNeeds['channel'];

  function transfer(): PushTransfer {
    const content = { manifestPath: directory.join('m'), signaturePath: directory.join('s') };
    const reader = { ...content, async [Symbol.asyncDispose]() {} } as unknown as ContentReader;
    const hash = packageHash;
    const hashes = { contentHash: hash, signatureHash: hash };
    const lengths = { manifestBytes: 1_000_000, signatureBytes: 0 };
    const counts = { entryCount: 0, sizeBytes: 0, fileCount: 0 };
    const descriptor = { contentId, ...lengths, ...counts, ...hashes };
    const facts = { packageId: job.packageId, sourceVersion: 1, packageHash };
    const version = {
      ...facts,
      contents: [descriptor],
      properties: { priority: 2, programs: [], iconBase64: '' },
    } as unknown as LibraryPackage;
    const library = {
      getPackage: async () => version,
      openContent: async () => reader,
      deltasOf: async () => [],
      discardDamaged: async () => [],
    };
    const pieceSource = { join: () => () => {}, message: () => assert.fail() };
    const sleep = (ms: number, signal: AbortSignal) => clock.sleep(ms, signal);
    const permit = arbiter.open(['dp/PS1DP1'], 2);
    const needs = { library, pieceSource, channel, claims: new FileClaims(), permit, sleep };
    const progress = new TransferProgress({ monotonicMs: () => 0, onChange: () => {}, job });
    const { signal } = new AbortController();
    return new PushTransfer(needs, config, { job, progress, signal, onBegun: async () => {} });
  }

  it('says what the DP misses when it keeps missing files', async () => {
    missing = [9, 8, 7, 6];
    const isTheLast = (error: unknown) =>
      error instanceof WaybillError &&
      error.details.code === 'CONTENT_INCOMPLETE' &&
      error.details.missingFiles === 7;
    await assert.rejects(transfer().run(), isTheLast);
  });

  it('brings again what the DP misses', async () => {
    missing = [9, 8];
    assert.equal(await transfer().run(), packageHash);
  });

  describe('of a manifest', () => {
    const untilAborted = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('cancelled')), { once: true });
      });

    beforeEach(async () => {
      await writeFile(directory.join('m'), Buffer.alloc(5 * pieceBytes));
      await writeFile(directory.join('s'), 'signature');
    });

    it('takes as long as it needs while it gets on', async () => {
      let count = 0;
      takeManifest = async (messages) => {
        for await (const _ of messages) {
          count += 1;
          await clock.advance(stallMs - 1);
        }
      };
      assert.equal(await transfer().run(), packageHash);
      assert.equal(count, 7);
    });

    it('waits for a limit as long as that takes: nobody is responsible for it (PTM-6)', async () => {
      arbiter.setControls('dp/PS1DP1', { limit: { kind: 'rate', bytesPerSecond: 1024 } });
      let bytes = 0;
      takeManifest = async (messages) => {
        for await (const message of messages) {
          bytes += (message as { chunk?: Buffer }).chunk?.length ?? 0;
        }
      };
      await writeFile(directory.join('m'), Buffer.alloc(100 * 1024));
      let isOver = false;
      const run = transfer()
        .run()
        .finally(() => {
          isOver = true;
        });
      while (!isOver) await clock.advance(1_000);
      assert.equal(await run, packageHash);
      assert.equal(bytes, 100 * 1024 + 'signature'.length);
      const expectedMs = bytes / 1.024 - 4_200;
      assert.ok(clock.monotonicMs() >= expectedMs, `${clock.monotonicMs()} ms`);
    });

    it('ends when the DP takes nothing more', async () => {
      takeManifest = async (messages, signal) => {
        const iterator = messages[Symbol.asyncIterator]();
        await iterator.next();
        await Promise.all([untilAborted(signal), clock.advance(3 * stallMs)]);
      };
      await assert.rejects(transfer().run(), { code: 'DEADLINE_EXCEEDED', message: /PutManifest/ });
    });
  });
});
