import assert from 'node:assert/strict';
import { ResponseStream } from './response-stream.ts';

/** A transport that takes a message when the test says so. */
class SlowSink {
  readonly taken: (() => void)[] = [];

  write(_message: unknown, written: () => void): boolean {
    this.taken.push(written);
    return true;
  }
}

describe('response stream', () => {
  it('keeps a few responses ready and waits for the transport before it asks for more', async () => {
    const sink = new SlowSink();
    const responses = new ResponseStream(sink, new AbortController().signal);
    for (let count = 0; count < 3; count++) await responses.write({});
    const fourth = responses.write({});
    assert.equal(sink.taken.length, 4);
    assert.equal(
      await Promise.race([fourth.then(() => 'asked'), Promise.resolve('waits')]),
      'waits',
    );
    sink.taken[0]?.();
    await fourth;
  });

  it('ends a write that waits when the call is over, and refuses further ones', async () => {
    const abort = new AbortController();
    const responses = new ResponseStream(new SlowSink(), abort.signal);
    for (let count = 0; count < 3; count++) await responses.write({});
    const fourth = responses.write({});
    abort.abort();
    await assert.rejects(fourth, { name: 'AbortError' });
    await assert.rejects(responses.write({}), { name: 'AbortError' });
  });
});
