import assert from 'node:assert/strict';
import { SeededRandom } from '../testing/seeded-random.ts';
import { MessageWatch } from './message-watch.ts';
import { messageBytesMax } from './rpc-limits.ts';

function framed(length: number, flag = 0): Buffer {
  const message = Buffer.alloc(5 + length, 0xff);
  message.writeUInt8(flag, 0);
  message.writeUInt32BE(length, 1);
  return message;
}

describe('messages of a call', () => {
  it('are counted, however they are cut', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new SeededRandom(seed);
      const lengths = Array.from({ length: 20 }, () => random.pick([0, 1, 4, 300, 70_000]));
      const bytes = Buffer.concat(lengths.map((length) => framed(length)));
      const watch = new MessageWatch();
      let count = 0;
      for (let at = 0; at < bytes.length; ) {
        const next = at + 1 + random.below(random.pick([1, 8, 5_000]));
        count += watch.take(bytes.subarray(at, next));
        at = next;
      }
      assert.deepEqual([count, watch.messageCount, watch.begunBytes], [20, 20, 0], `seed ${seed}`);
      assert.ok(!watch.isCompressed);
    }
  });

  it('that have begun and not ended are told with their bytes and pieces', () => {
    const watch = new MessageWatch();
    watch.take(framed(10));
    const bytes = framed(1_000);
    for (const byte of bytes.subarray(0, 100)) watch.take(Buffer.of(byte));
    assert.deepEqual([watch.messageCount, watch.begunBytes, watch.partCount], [1, 100, 101]);
    watch.take(bytes.subarray(100));
    assert.deepEqual([watch.messageCount, watch.begunBytes, watch.partCount], [2, 0, 1]);
  });

  it('that say they are compressed are seen before their end', () => {
    const watch = new MessageWatch();
    watch.take(framed(100, 1).subarray(0, 1));
    assert.ok(watch.isCompressed);
  });

  it('that say they are longer than can be are seen at their first five bytes', () => {
    const watch = new MessageWatch();
    watch.take(framed(messageBytesMax).subarray(0, 100));
    assert.ok(!watch.isTooLong);
    const other = new MessageWatch();
    other.take(framed(messageBytesMax + 1).subarray(0, 4));
    assert.ok(!other.isTooLong);
    other.take(framed(messageBytesMax + 1).subarray(4, 5));
    assert.ok(other.isTooLong);
  });
});
