import assert from 'node:assert/strict';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import {
  ContentServerTest,
  filesRequest,
  nameOf,
  onlyContent,
  pieceRequest,
} from '../../shared/content-server/testing/content-server-test.ts';
import { frameMemoryBytes } from '../../shared/content-source/content-message.ts';
import type { PieceSource } from '../../shared/content-source/piece-source.ts';
import { hasPieces, pieceBytes, pieceCountOf } from '../../shared/domain/content.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { action } from '../../shared/package-receiver/testing/provider-test.ts';
import type { RequestOf, ResponseOf } from '../../shared/rpc/conversation.ts';
import type { RpcChannel } from '../../shared/rpc/rpc-channel.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { collect } from '../../shared/testing/test-library.ts';
import { otherDp, TrustCircle } from './trust-circle.ts';

type Request = RequestOf<'Content', 'fetch'>;
type Response = ResponseOf<'Content', 'fetch'>;

const random = new SeededRandom(11);
const large = Buffer.from(random.bytes(5 * pieceBytes));
const small = Array.from({ length: 300 }, (_, index) => Buffer.from(random.bytes(index * 50)));
const contents = [large, ...small];
const tree = Object.fromEntries(contents.map((content, index) => [`f${index}`, content]));
const streamCount = 8;
const smallPerRequest = 16;

/** All that the content is made of, as requests. */
function allRequests(): Request[] {
  const pieces = Array.from({ length: pieceCountOf(large.length) }, (_, index) =>
    pieceRequest(large, index),
  );
  const batches: Request[] = [];
  for (let start = 0; start < small.length; start += smallPerRequest) {
    batches.push(filesRequest(...small.slice(start, start + smallPerRequest)));
  }
  return [...pieces, ...batches];
}

/** Fetches over several streams, one request at a time on each. */
async function fetchAll(
  channel: RpcChannel<'Content'>,
  requests: readonly Request[],
): Promise<Response[]> {
  const left = [...requests];
  const responses: Response[] = [];
  const lane = async () => {
    const call = channel.duplex('fetch', {});
    for (let request = left.shift(); request; request = left.shift()) {
      await call.write(request);
      const response = await call.read();
      assert.ok(response);
      responses.push(response);
    }
    call.end();
    assert.equal(await call.read(), undefined);
  };
  await Promise.all(Array.from({ length: streamCount }, lane));
  return responses;
}

/** What came, by file: pieces at their places, small files whole. */
function filesOf(responses: readonly Response[]): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const whole = Buffer.alloc(large.length);
  for (const { piece, files: batch } of responses) {
    if (piece) piece.data.copy(whole, piece.pieceIndex * pieceBytes);
    for (const { fileHash, data } of batch?.files ?? []) files.set(fileHash.toString('hex'), data);
  }
  return files.set(hashOf(large), whole);
}

/** The messages of a piece source that nobody has given back, and the most there ever were. */
class FrameCount {
  now = 0;
  max = 0;

  of(source: PieceSource): Pick<PieceSource, 'join' | 'message'> {
    return {
      join: (group) => source.join(group),
      message: async (group, item) => {
        const { bytes, done } = await source.message(group, item);
        this.now += 1;
        this.max = Math.max(this.max, this.now);
        return {
          bytes,
          done: () => {
            this.now -= 1;
            done();
          },
        };
      },
    };
  }
}

describe('a content server over the network', () => {
  let circle: TrustCircle;
  let test: ContentServerTest;
  let channel: RpcChannel<'Content'>;
  let frames: FrameCount;

  beforeEach(async () => {
    circle = await TrustCircle.create();
    frames = new FrameCount();
    test = await ContentServerTest.open((source) => ({ pieceSource: frames.of(source) }));
    const server = await circle.serve('Content', test.conversation);
    const credentials = await circle.credentials(otherDp);
    channel = await circle.channel('Content', server.address, { credentials });
    await channel.whenReachable();
  });
  afterEach(async () => {
    await circle[Symbol.asyncDispose]();
    await test[Symbol.asyncDispose]();
  });

  it('brings a whole content over eight streams, from a fixed amount of memory (PULL-7, PULL-11)', async () => {
    const version = await test.dp.publish(1, tree);
    await test.dp.sender.distribute(version, 1);
    const content = nameOf(onlyContent(version));
    const parts = await collect(channel.serverStream('getManifest', { content }, {}));
    assert.deepEqual(
      Buffer.concat(parts.map(({ chunk }) => chunk)),
      Buffer.concat(await test.dp.sender.manifestOf(content.contentId)),
    );
    const leave = test.pieceSource.join('somebody else');
    for (let round = 0; round < 4; round++) {
      const files = filesOf(await fetchAll(channel, allRequests()));
      assert.equal(files.size, new Set(contents.map(hashOf)).size);
      for (const bytes of contents) assert.ok(files.get(hashOf(bytes))?.equals(bytes));
    }
    assert.equal(frames.now, 0, 'all memory comes back');
    assert.ok(frames.max <= streamCount, `${frames.max} messages at once`);
    assert.ok(test.pieceSource.spareBytes > 0);
    assert.ok(test.pieceSource.spareBytes <= streamCount * frameMemoryBytes);
    leave();
  });

  it('never mixes the bytes of answers, even for who asks ahead and does not read (SEC-4)', async () => {
    await test.dp.sender.distribute(await test.dp.publish(1, tree), 1);
    const call = channel.duplex('fetch', {});
    const indices = Array.from({ length: 40 }, (_, count) => count % 5);
    for (const index of indices) await call.write(pieceRequest(large, index));
    // Others use the same memory meanwhile.
    await fetchAll(channel, allRequests());
    for (const index of indices) {
      const response = await call.read();
      const expected = large.subarray(index * pieceBytes, (index + 1) * pieceBytes);
      assert.equal(response?.piece?.pieceIndex, index);
      assert.ok(response.piece.data.equals(expected));
    }
    assert.ok(frames.max <= streamCount + 1, 'one message a stream, however far it asks ahead');
    call.cancel();
  });

  it('brings a piece of what is just arriving, and tells of it (PULL-11)', async () => {
    const version = await test.dp.publish(1, tree);
    const descriptor = onlyContent(version);
    const name = nameOf(descriptor);
    await test.dp.sender.begin(version, 1);
    await test.dp.sender.wanted(version, 1);
    const unitCount = contents.reduce(
      (sum, { length }) => sum + (hasPieces(length) ? pieceCountOf(length) : 1),
      0,
    );
    const { content, end } = await test.arrives(descriptor, { unitCount });
    const holdings = channel.serverStream('watchHoldings', { content: name }, {});
    const { value: first } = await holdings.next();
    assert.deepEqual(first?.units, Buffer.alloc(Math.ceil(unitCount / 8)));

    const piece = Buffer.from(large.subarray(3 * pieceBytes, 4 * pieceBytes));
    await test.dp.sender.sendPiece(action(1), hashOf(large), 3, piece);
    content.units.add(3);
    test.arriving.changed(descriptor.contentId);
    const { value: second } = await holdings.next();
    assert.deepEqual(second?.units, Buffer.from([0b1000]));
    const [here] = await fetchAll(channel, [pieceRequest(large, 3)]);
    assert.ok(here?.piece?.data.equals(large.subarray(3 * pieceBytes, 4 * pieceBytes)));
    const [absent] = await fetchAll(channel, [pieceRequest(large, 2)]);
    assert.equal(absent?.body, 'notHere');
    end();
    await test.dp.clock.advance(1_000);
    assert.equal((await holdings.next()).done, true);
  });

  it('refuses a wrong request, and what it does not hold (SEC-4)', async () => {
    const call = channel.duplex('fetch', {});
    await call.write(pieceRequest(large, 5));
    await assert.rejects(call.read(), (error) => isErrorWithCode(error, 'MESSAGE_INVALID'));
    const hash = Buffer.alloc(32, 1);
    const content = { contentId: 'PS100001.1', contentHash: hash, signatureHash: hash };
    for (const method of ['getManifest', 'watchHoldings', 'listDeltas'] as const) {
      await assert.rejects(collect(channel.serverStream(method, { content }, {})), (error) =>
        isErrorWithCode(error, 'CONTENT_NOT_HELD'),
      );
    }
  });
});
