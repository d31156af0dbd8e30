import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isErrorWithCode } from '../domain/errors.ts';
import { freeControls } from '../domain/transfer-controls.ts';
import { messageBytesMax } from '../rpc/rpc-limits.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { MessageAssembly, type MessageFragment, partsOf } from './message-fragments.ts';
import { TransferArbiter } from './transfer-arbiter.ts';

const megabyte = 1_000_000;
const piece = new SeededRandom(3).bytes(1024 * 1024 + 45);
const never = new AbortController().signal;
const invalid = (error: unknown) => isErrorWithCode(error, 'MESSAGE_INVALID');

describe('message fragments', () => {
  let clock: FakeClock;
  let arbiter: TransferArbiter;

  beforeEach(() => {
    clock = new FakeClock();
    arbiter = new TransferArbiter(clock);
  });

  const limit = (bytesPerSecond: number) =>
    arbiter.setControls('dp/A', { limit: { kind: 'rate', bytesPerSecond } });

  /** Reads a message in its parts while time goes on. */
  async function cut(message: Buffer, onPart = (_count: number) => {}): Promise<MessageFragment[]> {
    const fragments: MessageFragment[] = [];
    let isOver = false;
    const reading = (async () => {
      for await (const part of partsOf(message, arbiter.open(['dp/A'], 2), never)) {
        fragments.push(part.fragment ?? assert.fail('it came as a whole'));
        onPart(fragments.length);
      }
      isOver = true;
    })();
    while (!isOver) await clock.advance(100);
    await reading;
    return fragments;
  }

  it('are not made without a limit: the message itself leaves, once', async () => {
    const parts = [];
    for await (const part of partsOf(piece, arbiter.open(['dp/A'], 2), never)) parts.push(part);
    assert.equal(parts.length, 1);
    assert.equal(parts[0]?.message, piece, 'not a copy');
  });

  it('are as long as what may leave in a tenth of a second, and whole together (PTM-6)', async () => {
    limit(megabyte);
    const fragments = await cut(piece);
    assert.deepEqual(
      fragments.map(({ data }) => data.length),
      [...Array.from({ length: 10 }, () => 98_304), piece.length - 10 * 98_304],
    );
    assert.ok(fragments.every(({ last }, index) => last === (index === 10)));
    assert.deepEqual(Buffer.concat(fragments.map(({ data }) => data)), piece);
    assert(clock.monotonicMs() >= 650 && clock.monotonicMs() <= 1_100, 'it may catch up 300 ms');
  });

  it('follow a limit that changes in the middle, also while one waits (PTM-6)', async () => {
    limit(megabyte);
    const fragments = await cut(piece, (count) => {
      if (count === 3) limit(100_000);
      if (count === 6) arbiter.setControls('dp/A', freeControls);
    });
    const lengths = fragments.map(({ data }) => data.length);
    assert.deepEqual(lengths.slice(0, 3), [98_304, 98_304, 98_304]);
    assert.deepEqual(lengths.slice(3, 6), [8_192, 8_192, 8_192]);
    assert.equal(lengths.length, 7, 'the rest at once');
    assert.deepEqual(Buffer.concat(fragments.map(({ data }) => data)), piece);
  });

  it('are as long as is allowed when they leave, not when they were asked for', async () => {
    arbiter.setControls('dp/A', {
      schedule: { timeZone: 'UTC', hours: Array.from({ length: 168 }, () => 'closed') },
    });
    const permit = arbiter.open(['dp/A'], 2);
    const taken = permit.takePart(piece.length, never);
    await clock.advance(5_000);
    limit(megabyte);
    await clock.advance(100);
    assert.equal(await taken, 98_304);
  });

  it('end with the signal', async () => {
    limit(1024);
    const gone = new AbortController();
    const parts = partsOf(piece, arbiter.open(['dp/A'], 2), gone.signal);
    await parts.next();
    const next = assert.rejects(parts.next(), { name: 'AbortError' });
    gone.abort();
    await next;
    assert.equal(clock.sleeperCount, 0);
  });

  it('make the message they were cut from, whatever its length and theirs', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(lengths, { minLength: 1, maxLength: 4 }), (messages) => {
        const assembly = new MessageAssembly();
        for (const parts of messages) {
          let offset = 0;
          let whole: Buffer | undefined;
          for (const [index, length] of parts.entries()) {
            const data = piece.subarray(offset, offset + length);
            whole = assembly.add({ data, last: index === parts.length - 1 });
            offset += length;
            assert.equal(assembly.isUnderWay, whole === undefined);
          }
          assert.deepEqual(whole, piece.subarray(0, offset));
        }
      }),
    );
  });

  it('keep nothing of the memory they came in, and share none among messages', () => {
    const assembly = new MessageAssembly();
    const data = Buffer.from('abc');
    const first = assembly.add({ data, last: true });
    data.fill(0);
    const second = assembly.add({ data: Buffer.from('xyz'), last: true });
    assert.equal(first?.toString(), 'abc');
    assert.equal(second?.toString(), 'xyz');
  });

  it('are refused when they are empty, or too long together, before that is kept', () => {
    const assembly = new MessageAssembly();
    assert.throws(() => assembly.add({ data: Buffer.alloc(0), last: false }), invalid);
    const half = Buffer.alloc(messageBytesMax / 2);
    assert.equal(assembly.add({ data: half, last: false }), undefined);
    assert.equal(assembly.add({ data: half, last: false }), undefined);
    assert.throws(() => assembly.add({ data: Buffer.alloc(1), last: true }), invalid);
    assert.throws(
      () => new MessageAssembly().add({ data: Buffer.alloc(messageBytesMax + 1), last: true }),
      invalid,
    );
  });
});
