import assert from 'node:assert/strict';
import type { ContentItem } from '../../shared/content-source/content-item.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { Delta } from '../../shared/domain/delta.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { collect } from '../../shared/testing/test-library.ts';
import { DeltaPush } from './delta-push.ts';

const action = { packageId: 'PS100001', jobSerial: 1 };
const hashOf = (digit: string) => digit.repeat(64);

function deltaOf(digit: string, deltaBytes = 100): Delta {
  const pieceCount = deltaBytes > pieceBytes ? Math.ceil(deltaBytes / pieceBytes) : 0;
  return {
    ...{ fileHash: hashOf('1'), fileBytes: 2 ** 30, baseHash: hashOf('2'), baseBytes: 2 ** 30 },
    ...{ deltaHash: hashOf(digit), deltaBytes, deltaPieceHashes: '00'.repeat(32 * pieceCount) },
  };
}

const wanted = (digit: string, ...piecesHeld: number[]) => ({
  deltaHash: Buffer.from(hashOf(digit), 'hex'),
  piecesHeld: Buffer.from(piecesHeld),
});

describe('deltas on their way to a DP', () => {
  const { signal } = new AbortController();
  let deltas: Delta[];
  let answer: object[];
  let calls: string[];
  let offeredCounts: number[];
  let expectedBytes: number;
  let items: ContentItem[];
  let discarded: string[];
  let failOf: Partial<Record<string, Error>>;

  beforeEach(() => {
    [deltas, answer, calls, offeredCounts, items, discarded] = [[], [], [], [], [], []];
    expectedBytes = 0;
    failOf = {};
  });

  function push(): Promise<boolean> {
    const channel = {
      unary: async (method: string, request: { deltas?: readonly object[] }) => {
        calls.push(method);
        if (request.deltas) offeredCounts.push(request.deltas.length);
        const failure = failOf[method];
        if (failure) throw failure;
        return { wanted: answer };
      },
    };
    const needs = {
      library: {
        deltasOf: async () => deltas,
        discardDamaged: async (files: readonly { hash: string }[]) => {
          discarded = files.map(({ hash }) => hash);
          return discarded;
        },
      },
      channel: channel as never,
      expect: (bytes: number) => {
        expectedBytes += bytes;
      },
      send: async (sent: AsyncGenerator<ContentItem, void>) => {
        calls.push('send');
        items = await collect(sent);
        if (failOf.send) throw failOf.send;
      },
    };
    return new DeltaPush(needs, { action, deadlineMs: 1_000, signal }).run(['PS100001.2']);
  }

  it('are offered, and those that are wanted sent and applied (PKG-5)', async () => {
    deltas = [deltaOf('a'), deltaOf('b', 3 * pieceBytes), deltaOf('c'), deltaOf('d')];
    answer = [wanted('a'), wanted('b', 0b010), wanted('c', 1), wanted('a'), wanted('f')];
    assert.equal(await push(), true);
    assert.deepEqual(calls, ['offerDeltas', 'send', 'applyDeltas']);
    const sent = items.map((item) =>
      item.kind === 'piece'
        ? [item.file.hash, item.pieceIndex]
        : item.files.map(({ hash }) => hash),
    );
    assert.deepEqual(sent, [[hashOf('b'), 0], [hashOf('b'), 2], [hashOf('a')]]);
    assert.equal(expectedBytes, 100 + 2 * pieceBytes);
  });

  it('are not spoken of when there are none, nor sent when none is wanted', async () => {
    assert.equal(await push(), false);
    deltas = [deltaOf('a')];
    assert.equal(await push(), false);
    assert.deepEqual(calls, ['offerDeltas']);
    assert.equal(expectedBytes, 0);
  });

  it('are offered in messages of bounded size', async () => {
    deltas = Array.from({ length: 9_000 }, () => deltaOf('a'));
    deltas.push(deltaOf('b', 40_000 * pieceBytes));
    await push();
    assert.ok(offeredCounts.length > 1);
    assert.equal(
      offeredCounts.reduce((sum, count) => sum + count, 0),
      9_000,
      'one whose piece hashes fit no message is left out',
    );
  });

  it('are left to an agent that does not know of them', async () => {
    deltas = [deltaOf('a')];
    const reason = 'it does not know /waybill.v1.DistributionPoint/OfferDeltas; its version …';
    failOf = { offerDeltas: new WaybillError({ code: 'PEER_FAILED', peer: 'DP', reason }) };
    assert.equal(await push(), false);
    failOf = { offerDeltas: new WaybillError({ code: 'PEER_FAILED', peer: 'DP', reason: 'x' }) };
    await assert.rejects(push(), (error) => isErrorWithCode(error, 'PEER_FAILED'));
  });

  it('that are damaged here are discarded, and no reason to fail (SEC-4)', async () => {
    deltas = [deltaOf('a')];
    answer = [wanted('a')];
    const hashes = { expectedHash: hashOf('a'), actualHash: hashOf('b') };
    for (const failure of [
      new WaybillError({ code: 'FILE_HASH_MISMATCH', ...hashes }),
      new WaybillError({ code: 'FILE_NOT_HELD', fileHash: hashOf('a') }),
      Object.assign(new Error('read'), { code: 'EIO' }),
    ]) {
      failOf = { send: failure };
      assert.equal(await push(), true);
      assert.deepEqual(discarded, [hashOf('a')]);
    }
    const reason = 'gone';
    failOf = {
      send: new WaybillError({ code: 'PEER_UNREACHABLE', peer: 'DP', address: 'a', reason }),
    };
    await assert.rejects(push(), (error) => isErrorWithCode(error, 'PEER_UNREACHABLE'));
  });
});
