import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import { toVersion } from '../../shared/testing/test-library.ts';
import { FakeDistributionPoint } from './testing/fake-distribution-point.ts';
import {
  big,
  code,
  countOf,
  dp,
  namesSent,
  openBeforeEach,
  packageId,
  shared,
  small,
  test,
  transfer,
} from './testing/push-ground.ts';
import { unreachable } from './testing/test-transfers.ts';

describe('push transfer', () => {
  openBeforeEach();

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
      const dp = new FakeDistributionPoint(test.library);
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
}).timeout(10_000);
