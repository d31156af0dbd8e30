import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ContentItem } from '../content-source/content-item.ts';
import { type ContentDescriptor, pieceBytes } from '../domain/content.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { hoursOfWeek, type WindowLevel } from '../domain/transfer-controls.ts';
import { servingPassage } from '../domain/transfer-passage.ts';
import { big, bytes } from '../package-receiver/testing/provider-test.ts';
import type { CallContext, EncodedAnswer, RequestOf } from '../rpc/conversation.ts';
import type { Holdings } from '../rpc/generated/waybill/v1/Holdings.ts';
import { decodeAnswer, encodeAnswer } from '../rpc/service-definitions.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { collect } from '../testing/test-library.ts';
import { MessageAssembly } from '../transfer-arbiter/message-fragments.ts';
import { PassageHours } from '../transfer-arbiter/passage-hours.ts';
import { TransferArbiter } from '../transfer-arbiter/transfer-arbiter.ts';
import {
  aboutContent,
  ContentServerTest,
  each,
  type Fetched,
  nameOf,
  onlyContent,
  pieceRequest,
  received,
} from './testing/content-server-test.ts';

type FetchRequest = RequestOf<'Content', 'fetch'>;

const hourMs = 3_600_000;
/** What leaves at once at the start: a part, and what may be caught up. */
const startMs = 400;
const content = big('a', 4);
const closed = (error: unknown) => isErrorWithCode(error, 'CONTENT_WINDOW_CLOSED');

describe('what a content server serves (PTM-5, PTM-6, PULL-10)', () => {
  let test: ContentServerTest;
  /** Begins on a Monday, 00:00 UTC. */
  let clock: FakeClock;
  let arbiter: TransferArbiter;
  let hours: PassageHours;
  let descriptor: ContentDescriptor;

  beforeEach(async function () {
    this.timeout(10_000);
    clock = new FakeClock();
    arbiter = new TransferArbiter(clock);
    hours = new PassageHours({ arbiter, clock }, servingPassage);
    await hours.start();
    // From memory: or time would pass while the disk is read.
    const pieceSource = { join: () => () => {}, message };
    test = await ContentServerTest.open(() => ({ controls: { arbiter, hours }, pieceSource }));
    const version = await test.dp.publish(1, { a: content, b: bytes('b') });
    await test.dp.sender.distribute(version, 1);
    descriptor = onlyContent(version);
  });
  afterEach(async function () {
    this.timeout(10_000);
    await hours.stop();
    await test[Symbol.asyncDispose]();
  });

  const limit = (bytesPerSecond: number) =>
    arbiter.setControls(servingPassage, { limit: { kind: 'rate', bytesPerSecond } });
  const open = (levels: Record<number, WindowLevel>) => {
    const grid = Array.from({ length: hoursOfWeek }, (_, hour) => levels[hour] ?? 'open');
    arbiter.setControls(servingPassage, { schedule: { timeZone: 'UTC', hours: grid } });
  };
  const piece = (index: number, more: Partial<FetchRequest> = {}): FetchRequest => ({
    ...pieceRequest(content, index),
    inFragments: true,
    ...more,
  });

  /** What comes on one stream, and when. */
  class Stream {
    readonly answers: { atMs: number; bytes: number; answer: Fetched }[] = [];
    failure: unknown;
    readonly ended: Promise<void>;

    constructor(requests: AsyncIterable<FetchRequest>, context: CallContext = test.context) {
      this.ended = this.#read(requests, context).catch((failure: unknown) => {
        this.failure = failure;
      });
    }

    bytesUntil(ms: number): number {
      const before = this.answers.filter(({ atMs }) => atMs <= ms);
      return before.reduce((sum, one) => sum + one.bytes, 0);
    }

    async #read(requests: AsyncIterable<FetchRequest>, context: CallContext): Promise<void> {
      const wire = async function* () {
        for await (const request of requests) yield received(request);
      };
      for await (const one of test.conversation.fetch(wire(), context)) {
        const bytesOfIt = Buffer.from(one as EncodedAnswer);
        const answer = decodeAnswer('Content', 'fetch', bytesOfIt);
        this.answers.push({ atMs: clock.monotonicMs(), bytes: bytesOfIt.length, answer });
      }
    }
  }

  /** Reads of the disk come in their own time. */
  async function until(isSo: () => boolean): Promise<void> {
    for (let turn = 0; !isSo(); turn++) {
      assert.ok(turn < 100_000, `never: ${isSo}`);
      await nextTurn();
    }
  }

  /** Passes time until the streams have ended. */
  async function finish(...streams: Stream[]): Promise<void> {
    let left = streams.length;
    for (const { ended } of streams) void ended.then(() => left--);
    while (left > 0) {
      await clock.advance(20);
      assert.ok(clock.monotonicMs() < 120_000, 'it never ends');
    }
    for (const { failure } of streams) assert.equal(failure, undefined);
  }

  function whole(stream: Stream): Fetched[] {
    const assembly = new MessageAssembly();
    return stream.answers.flatMap(({ answer }) => {
      if (!answer.fragment) return [answer];
      const message = assembly.add(answer.fragment);
      return message ? [decodeAnswer('Content', 'fetch', message)] : [];
    });
  }

  it('is as ever without a limit: whole answers, which nobody has to wait for', async () => {
    const stream = new Stream(each([piece(0), piece(1)]));
    await stream.ended;
    assert.equal(stream.answers.length, 2);
    assert.equal(clock.monotonicMs(), 0);
    assert.equal(test.server.sentBytes, stream.bytesUntil(0));
  });

  it('comes at the rate of the limit, in fragments of a tenth of a second, and is whole', async () => {
    limit(500_000);
    const stream = new Stream(each([piece(0), piece(1)]));
    await finish(stream);
    const expectedMs = (2 * pieceBytes) / 500;
    const { atMs } = stream.answers.at(-1)!;
    assert.ok(Math.abs(atMs - expectedMs) <= startMs, `${atMs} ms`);
    for (let ms = 0; ms < expectedMs; ms += 500) {
      const between = stream.bytesUntil(ms + 500) - stream.bytesUntil(ms);
      assert.ok(between <= 250_000 + 2 * 50_000, `${between} bytes from ${ms} on`);
    }
    assert.ok(stream.answers.every((one) => one.bytes <= 50_000));
    const [first, second] = whole(stream);
    assert.deepEqual(first?.piece?.data, content.subarray(0, pieceBytes));
    assert.deepEqual(second?.piece?.data, content.subarray(pieceBytes, 2 * pieceBytes));
  });

  it('obeys another limit, or none, with the next part', async () => {
    limit(10_000);
    const stream = new Stream(each([piece(0)]));
    await until(() => stream.answers.length > 0);
    await clock.advance(3_000);
    limit(10_000_000);
    await clock.advance(300);
    await stream.ended;
    assert.equal(whole(stream).length, 1);
  });

  it('sends who knows of no fragments all at once, when all of it may leave', async () => {
    limit(1_000_000);
    const stream = new Stream(each([piece(0, { inFragments: false }), piece(1)]));
    await finish(stream);
    assert.equal(stream.answers[0]?.answer.body, 'piece');
    assert.ok(stream.answers[0]!.atMs >= pieceBytes / 1_000 - startMs);
    assert.ok(stream.answers.at(-1)!.atMs >= (2 * pieceBytes) / 1_000 - startMs);
  });

  it('sends no more than the caller asks for, and goes on when it asks for more (PULL-10)', async () => {
    const asked: FetchRequest[] = [piece(0, { firstBytes: 100_000 })];
    let more = () => {};
    const requests = async function* () {
      for (;;) {
        const next = asked.shift();
        if (next) yield next;
        else {
          await new Promise<void>((resolve) => {
            more = resolve;
          });
        }
      }
    };
    const stream = new Stream(requests());
    await until(() => stream.answers.length === 1);
    for (let turn = 0; turn < 50; turn++) await nextTurn();
    assert.equal(stream.answers[0]?.answer.fragment?.data.length, 100_000);
    assert.equal(stream.answers.length, 1);
    asked.push({ moreBytes: 2 * pieceBytes });
    more();
    await until(() => whole(stream).length === 1);
    assert.deepEqual(whole(stream)[0]?.piece?.data, content.subarray(0, pieceBytes));
    asked.push(piece(1, { firstBytes: 5_000 }), piece(2));
    more();
    await stream.ended;
    assert.ok(isErrorWithCode(stream.failure, 'MESSAGE_INVALID'), 'the answer was under way');
    const untimely = new Stream(each([{ moreBytes: 5 }]));
    await untimely.ended;
    assert.ok(isErrorWithCode(untimely.failure, 'MESSAGE_INVALID'), 'nothing was under way');
  });

  it('sends a KiB at least, however little a caller asks for (PULL-10)', async () => {
    const more = Array.from({ length: 8 }, () => ({ moreBytes: 1 }));
    const stream = new Stream(each([piece(0, { firstBytes: 1 }), ...more]));
    await stream.ended;
    const sizes = stream.answers.map(({ answer }) => answer.fragment?.data.length);
    assert.deepEqual(
      sizes,
      Array.from({ length: 9 }, () => 1024),
    );
  });

  it('is shared by callers, not by streams', async () => {
    limit(1_000_000);
    const endless = async function* () {
      for (let index = 0; index < 100; index++) yield piece(index % 3);
    };
    const many = [1, 2, 3, 4].map(() => new Stream(endless(), test.contextOf('PS1DP2')));
    const one = new Stream(endless(), test.contextOf('PS1DP3'));
    while (clock.monotonicMs() < 10_000) await clock.advance(20);
    const ofMany = many.reduce((sum, stream) => sum + stream.bytesUntil(10_000), 0);
    const ofOne = one.bytesUntil(10_000);
    test.calls.abort();
    await clock.advance(1_000);
    assert.ok(ofMany + ofOne <= 10_500_000 && ofMany + ofOne >= 9_000_000, `${ofMany + ofOne}`);
    assert.ok(ofOne > 0.4 * (ofMany + ofOne), `${ofOne} and ${ofMany}`);
  });

  it('lets an urgent package go first, but not because a client says so', async () => {
    limit(1_000_000);
    const urgent = { priority: 'PRIORITY_HIGH' } as const;
    const normal = new Stream(each([piece(0), piece(1), piece(2)]), test.contextOf('PS1DP2'));
    await until(() => normal.answers.length > 0);
    const first = new Stream(each([piece(0, urgent)]), test.contextOf('PS1DP3'));
    await finish(normal, first);
    const urgentMs = first.answers.at(-1)!.atMs;
    assert.ok(urgentMs < 1_500, `${urgentMs} ms`);
    const beganAtMs = clock.monotonicMs();
    const caller = { identity: { kind: 'client', name: 'laptop' }, address: '1' } as const;
    const context = { caller, signal: test.calls.signal };
    const other = new Stream(each([piece(0), piece(1)]), test.contextOf('PS1DP2'));
    const client = new Stream(each([piece(0, urgent), piece(1, urgent)]), context);
    await finish(other, client);
    assert.ok(Math.abs(other.answers.at(-1)!.atMs - client.answers.at(-1)!.atMs) < 500);
    assert.ok(clock.monotonicMs() - beganAtMs > 3_500);
  });

  it('ends within a second when its hours close, whatever is on its way', async () => {
    open({ 1: 'closed' });
    arbiter.setControls(servingPassage, {
      ...arbiter.controlsOf(servingPassage),
      limit: { kind: 'rate', bytesPerSecond: 1024 },
    });
    await clock.advance(hourMs - 2_000);
    const stream = new Stream(each([piece(0)]));
    await until(() => stream.answers.length > 0);
    await clock.advance(3_000);
    await stream.ended;
    assert.ok(closed(stream.failure));
    assert.ok(stream.answers.at(-1)!.atMs <= hourMs);
    const later = new Stream(each([piece(0)]));
    await later.ended;
    assert.ok(closed(later.failure));
    const { opensAtMs } = (later.failure as { details: { opensAtMs: number } }).details;
    assert.equal(opensAtMs, clock.nowMs() - clock.monotonicMs() + 2 * hourMs);
    const { getManifest, listDeltas } = test.conversation;
    const about = aboutContent(nameOf(descriptor));
    await assert.rejects(collect(getManifest(about, test.context)), closed);
    await assert.rejects(collect(listDeltas(about, test.context)), closed);
  });

  it('says in its hours who may fetch, and to who watches when they close and open (PTM-5)', async () => {
    open({ 0: 'high-only' });
    const version = await test.dp.publish(2, { a: content });
    await test.dp.sender.distribute(version, 2);
    const about = aboutContent(nameOf(onlyContent(version)));
    const watch = (priority: 'PRIORITY_HIGH' | 'PRIORITY_NORMAL') =>
      test.conversation
        .watchHoldings({ ...about, priority }, test.context)
        [Symbol.asyncIterator]() as AsyncGenerator<Holdings, void>;
    const [urgent, normal] = [watch('PRIORITY_HIGH'), watch('PRIORITY_NORMAL')];
    assert.equal((await urgent.next()).value?.complete, true);
    assert.equal((await normal.next()).value?.closed, true);
    await assert.rejects(collect(test.conversation.getManifest(about, test.context)), closed);
    const opened = normal.next();
    await clock.advance(hourMs);
    assert.equal((await opened).value?.complete, true);
    const next = normal.next();
    open({ 0: 'closed', 1: 'closed' });
    assert.equal((await next).value?.closed, true);
    assert.equal((await urgent.next()).value?.closed, true);
    test.calls.abort();
  });

  it('counts manifests, which come in ranges to who wants them so (PULL-10)', async () => {
    const version = await test.dp.publish(3, Object.fromEntries(manyFiles(300)));
    await test.dp.sender.distribute(version, 3);
    const { contentId } = onlyContent(version);
    const about = aboutContent(nameOf(onlyContent(version)));
    const expected = Buffer.concat(await test.dp.sender.manifestOf(contentId));
    const ranges: Buffer[] = [];
    for (let offset = 0; offset < expected.length; offset += 5_000) {
      const range = { ...about, offsetBytes: `${offset}`, bytesMax: 5_000 };
      const parts = await collect(test.conversation.getManifest(range, test.context));
      ranges.push(...parts.map(({ chunk }) => chunk as Buffer));
    }
    assert.deepEqual(Buffer.concat(ranges), expected);
    const behind = { ...about, offsetBytes: `${expected.length}`, bytesMax: 0 };
    assert.deepEqual(await collect(test.conversation.getManifest(behind, test.context)), []);
    limit(10_000);
    let isOver = false;
    const parts = collect(test.conversation.getManifest(about, test.context)).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      // The disk is read here.
      for (let turn = 0; turn < 10; turn++) await nextTurn();
      if (clock.sleeperCount > 0) await clock.advance(100);
    }
    const chunks = (await parts).map(({ chunk }) => chunk as Buffer);
    assert.deepEqual(Buffer.concat(chunks), expected);
    const leastMs = (expected.length - 4096) / 10 - startMs;
    assert.ok(clock.monotonicMs() >= leastMs, `${clock.monotonicMs()} ms`);
  });
}).timeout(20_000);

function manyFiles(count: number): [string, Buffer][] {
  return Array.from({ length: count }, (_, index) => [`file ${index}`, bytes(`${index}`)]);
}

/** A piece of the content, as the piece source gives it. */
async function message(_: unknown, item: ContentItem) {
  assert.ok(item.kind === 'piece');
  const { file, pieceIndex, sizeBytes } = item;
  const start = pieceIndex * pieceBytes;
  const data = content.subarray(start, start + sizeBytes);
  const fileHash = Buffer.from(file.hash, 'hex');
  const answer = { piece: { fileHash, pieceIndex, data } };
  return { bytes: encodeAnswer('Content', 'fetch', answer), done: () => {} };
}
