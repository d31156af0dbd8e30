import assert from 'node:assert/strict';
import type { ContentItem } from '../../shared/content-source/content-item.ts';
import type { EncodedMessage } from '../../shared/content-source/piece-source.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import type { MessageFragment } from '../../shared/transfer-arbiter/message-fragments.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { type PutContentStream, sendItems, type TransferLanesOptions } from './transfer-lanes.ts';

const item = (index: number): ContentItem => ({
  kind: 'piece',
  file: { hash: 'a'.repeat(64), sizeBytes: 1 },
  pieceIndex: index,
  sizeBytes: 1,
});
const indexOf = (one: ContentItem) => (one.kind === 'piece' ? one.pieceIndex : -1);
const failure = new WaybillError({ code: 'PEER_FAILED', peer: 'it', reason: 'test' });

/** A stream whose other side acknowledges when the test says so, or at once. */
class FakeStream implements PutContentStream {
  readonly written: number[] = [];
  /** Of the message that is not whole yet. */
  readonly fragments: MessageFragment[] = [];
  readonly #answers: ((answer: object | undefined) => void)[] = [];
  readonly #failures: ((error: Error) => void)[] = [];
  isCancelled = false;
  isEnded = false;
  unackedMax = 0;
  #unacked = 0;
  readonly #answersAtOnce: boolean;

  constructor(answersAtOnce: boolean) {
    this.#answersAtOnce = answersAtOnce;
  }

  async write(message: Buffer | { readonly fragment: MessageFragment }): Promise<void> {
    if (this.isCancelled) throw new AbortError();
    if (!Buffer.isBuffer(message)) {
      this.fragments.push(message.fragment);
      if (!message.fragment.last) return;
    }
    const whole = Buffer.isBuffer(message)
      ? message
      : Buffer.concat(this.fragments.splice(0).map(({ data }) => data));
    this.written.push(whole.readUInt32LE());
    this.#unacked += 1;
    this.unackedMax = Math.max(this.unackedMax, this.#unacked);
  }

  read(): Promise<object | undefined> {
    if (this.isCancelled) return Promise.reject(new AbortError());
    if (this.isEnded) return Promise.resolve(undefined);
    if (this.#answersAtOnce) {
      this.#unacked -= 1;
      return Promise.resolve({});
    }
    return new Promise((resolve, reject) => {
      this.#answers.push(resolve);
      this.#failures.push(reject);
    });
  }

  acknowledge(): void {
    this.#unacked -= 1;
    this.#answers.shift()?.({});
    this.#failures.shift();
  }

  fail(error: Error): void {
    this.#failures.shift()?.(error);
  }

  endByPeer(): void {
    this.#answers.shift()?.(undefined);
  }

  end(): void {
    this.isEnded = true;
  }

  cancel(): void {
    this.isCancelled = true;
    for (const reject of this.#failures) reject(new AbortError());
  }
}

const stalled = new Error('stalled');

describe('transfer lanes', () => {
  let streams: FakeStream[];
  let sent: number[];
  let acknowledged: number[];
  let clock: FakeClock;
  let arbiter: TransferArbiter;
  let doneCount: number;
  /** How many streams were cancelled when each message's memory came back. */
  let cancelledAtDone: number[];
  let isClosed: boolean;
  let controller: AbortController;
  let answersAtOnce: boolean;

  beforeEach(() => {
    streams = [];
    sent = [];
    acknowledged = [];
    clock = new FakeClock();
    arbiter = new TransferArbiter(clock);
    doneCount = 0;
    cancelledAtDone = [];
    isClosed = false;
    controller = new AbortController();
    answersAtOnce = true;
  });

  async function* items(count: number): AsyncGenerator<ContentItem, void> {
    try {
      for (let index = 0; index < count; index++) yield item(index);
    } finally {
      isClosed = true;
    }
  }

  const send = (
    source: AsyncGenerator<ContentItem, void>,
    options: Partial<TransferLanesOptions> = {},
  ) =>
    sendItems(source, {
      lanesMax: 3,
      signal: controller.signal,
      openStream: async () => {
        const stream = new FakeStream(answersAtOnce);
        streams.push(stream);
        return stream;
      },
      encode: async (one) => {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32LE(indexOf(one));
        return {
          bytes,
          done: () => {
            doneCount += 1;
            cancelledAtDone.push(streams.filter(({ isCancelled }) => isCancelled).length);
          },
        };
      },
      permit: arbiter.open(['dp/A'], 2),
      onSent: (one) => sent.push(indexOf(one)),
      onAcknowledged: (one) => acknowledged.push(indexOf(one)),
      stallMs: 1_000,
      sleep: (ms, signal) => clock.sleep(ms, signal),
      toStalled: () => stalled,
      ...options,
    });

  const settled = async () => {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  };

  it('send every item once, over all streams', async () => {
    await send(items(20));
    const all = Array.from({ length: 20 }, (_, index) => index);
    assert.deepEqual(
      streams.flatMap(({ written }) => written).sort((a, b) => a - b),
      all,
    );
    assert.deepEqual(
      acknowledged.sort((a, b) => a - b),
      all,
    );
    assert.equal(doneCount, 20);
    assert.equal(streams.length, 3);
    assert.ok(streams.every(({ isEnded, isCancelled }) => isEnded && !isCancelled));
    assert.ok(isClosed);
  });

  it('have one message without acknowledgement each, at most', async () => {
    answersAtOnce = false;
    const sending = send(items(9));
    for (let round = 0; round < 3; round++) {
      await settled();
      assert.equal(sent.length, 3 * (round + 1));
      for (const stream of streams) stream.acknowledge();
    }
    await sending;
    assert.ok(streams.every(({ unackedMax }) => unackedMax === 1));
  });

  it('open no stream without work', async () => {
    await send(items(0));
    assert.equal(streams.length, 0);
    assert.ok(isClosed);
    await send(items(1));
    assert.equal(streams.length, 1);
  });

  it('are all cancelled when one fails, and its failure is the one that counts', async () => {
    answersAtOnce = false;
    const sending = send(items(9));
    const ended = assert.rejects(sending, failure);
    await settled();
    streams[1]?.fail(failure);
    await ended;
    assert.ok(streams.every(({ isCancelled }) => isCancelled));
    assert.ok(isClosed);
    assert.deepEqual(acknowledged, []);
    const isAfterCancel = cancelledAtDone.every((cancelled, index) => cancelled > index);
    assert.ok(isAfterCancel, 'memory that may still be on its way is not used again');
    assert.equal(doneCount, 3);
  });

  it('fail when the DP owes one of them an answer for too long, whatever the others do', async () => {
    answersAtOnce = false;
    const sending = send(items(100));
    const ended = assert.rejects(sending, stalled);
    for (let round = 0; round < 4; round++) {
      await clock.advance(500);
      streams[0]?.acknowledge();
      streams[2]?.acknowledge();
    }
    await ended;
    assert.ok(streams.every(({ isCancelled }) => isCancelled));
    assert.equal(clock.sleeperCount, 0);
  });

  it('wait for this side as long as it takes', async () => {
    let encoded = () => {};
    const encode = () =>
      new Promise<EncodedMessage>((resolve) => {
        encoded = () => resolve({ bytes: Buffer.alloc(4), done: () => {} });
      });
    const sending = send(items(1), { encode });
    await clock.advance(10_000);
    encoded();
    await sending;
  });

  it('keep the first of several failures', async () => {
    answersAtOnce = false;
    const sending = send(items(9));
    const ended = assert.rejects(sending, failure);
    await settled();
    streams[2]?.fail(failure);
    streams[0]?.fail(new Error('a later one'));
    await ended;
  });

  it('are cancelled when the signal fires, with its reason', async () => {
    answersAtOnce = false;
    const sending = send(items(9));
    const reason = new Error('withdrawn');
    const ended = assert.rejects(sending, reason);
    await settled();
    controller.abort(reason);
    await ended;
    assert.ok(streams.every(({ isCancelled }) => isCancelled));
    assert.ok(isClosed);
  });

  it('open nothing when the signal has fired already', async () => {
    controller.abort(new Error('withdrawn'));
    await assert.rejects(send(items(9)), /withdrawn/);
    assert.equal(streams.length, 0);
    assert.ok(isClosed);
  });

  it('fail when an item cannot be encoded, a stream not opened, the items not read', async () => {
    const encode = () => Promise.reject(failure);
    await assert.rejects(send(items(5), { encode }), failure);
    assert.ok(streams.every(({ isCancelled }) => isCancelled));
    const openStream = () => Promise.reject(failure);
    await assert.rejects(send(items(5), { openStream }), failure);
    async function* broken(): AsyncGenerator<ContentItem, void> {
      yield item(0);
      throw failure;
    }
    await assert.rejects(send(broken()), failure);
    assert.ok(sent.length <= 1);
  });

  it('fail when the DP ends a stream without an acknowledgement, or gives one too many', async () => {
    answersAtOnce = false;
    const sending = send(items(2));
    const ended = assert.rejects(sending, /without an acknowledgement/);
    await settled();
    streams[0]?.endByPeer();
    await ended;
    const chatty = new FakeStream(true);
    chatty.end = () => {};
    const tooMany = send(items(1), { openStream: async () => chatty });
    await assert.rejects(tooMany, /one acknowledgement too many/);
    assert.ok(chatty.isCancelled);
  });

  it('stop asking for items once one lane has failed', async () => {
    answersAtOnce = false;
    let pulledCount = 0;
    async function* counted(): AsyncGenerator<ContentItem, void> {
      for (let index = 0; ; index++) {
        pulledCount += 1;
        yield item(index);
      }
    }
    const ended = assert.rejects(send(counted()), failure);
    await settled();
    streams[0]?.fail(failure);
    await ended;
    assert.equal(pulledCount, 3);
  });

  describe('with a limit', () => {
    const bytesPerMessage = 1024 * 1024;
    const limit = (bytesPerSecond: number) =>
      arbiter.setControls('dp/A', { limit: { kind: 'rate', bytesPerSecond } });
    const encode = async (one: ContentItem) => {
      const bytes = Buffer.alloc(bytesPerMessage);
      bytes.writeUInt32LE(indexOf(one));
      return { bytes, done: () => {} };
    };
    const written = () => streams.flatMap((stream) => stream.written).sort((a, b) => a - b);

    it('send fragments, of one message at a time, and all of them in the end (PTM-6)', async () => {
      limit(1_000_000);
      let underWayMax = 0;
      const sending = send(items(6), { encode });
      for (let tick = 0; tick < 100; tick++) {
        await clock.advance(100);
        const underWay = streams.filter(({ fragments }) => fragments.length > 0);
        underWayMax = Math.max(underWayMax, underWay.length);
      }
      await sending;
      assert.deepEqual(written(), [0, 1, 2, 3, 4, 5]);
      assert.equal(underWayMax, 1);
      assert.equal(acknowledged.length, 6);
    });

    it('go on with the next message while the DP works on the last (PTM-6)', async () => {
      limit(1_000_000);
      answersAtOnce = false;
      const sending = send(items(3), { encode, stallMs: 10_000 });
      for (let tick = 0; tick < 40; tick++) await clock.advance(100);
      assert.deepEqual(written(), [0, 1, 2]);
      for (const stream of streams) stream.acknowledge();
      await sending;
    });

    it('hold nobody responsible for their waiting, however low the limit is', async () => {
      limit(4_096);
      const sending = send(items(1), { encode, stallMs: 300 });
      for (let second = 0; second < 270; second++) await clock.advance(1_000);
      await sending;
      assert.deepEqual(acknowledged, [0]);
    });

    it('fail when the DP does not take a fragment', async () => {
      limit(1_000_000);
      const stuck = new FakeStream(true);
      stuck.write = () =>
        new Promise((_, reject) => {
          stuck.cancel = () => {
            stuck.isCancelled = true;
            reject(new AbortError());
          };
        });
      const sending = send(items(9), { encode, openStream: async () => stuck });
      const ended = assert.rejects(sending, stalled);
      await clock.advance(2_500);
      await ended;
      assert.equal(clock.sleeperCount, 0);
    });

    it('send nothing of what was not allowed when they are cancelled', async () => {
      arbiter.setControls('dp/A', {
        schedule: { timeZone: 'UTC', hours: Array.from({ length: 168 }, () => 'closed') },
      });
      const sending = send(items(9), { encode });
      const ended = assert.rejects(sending, /gave way/);
      await clock.advance(5_000);
      controller.abort(new Error('gave way'));
      await ended;
      assert.deepEqual([written(), sent], [[], []]);
      assert.ok(
        streams.every(({ isCancelled, fragments }) => isCancelled && fragments.length === 0),
      );
    });
  });
});
