import assert from 'node:assert/strict';
import { ResponseStream } from './response-stream.ts';

/** A transport that takes a message when the test says so. */
class SlowSink {
  readonly taken: ((failure?: Error) => void)[] = [];

  write(_message: unknown, taken: (failure?: Error | null) => void): boolean {
    this.taken.push(taken);
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
    assert.equal(await stateOf(fourth), 'waits');
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

  it('gives lent memory back only when the transport has taken it', async () => {
    const sink = new SlowSink();
    const responses = new ResponseStream(sink, new AbortController().signal);
    const first = responses.writeLent(Buffer.from('lent'));
    assert.equal(await stateOf(first), 'waits');
    sink.taken[0]?.();
    await first;
  });

  it('never gives lent memory back when the call is over or the transport lost it', async () => {
    const abort = new AbortController();
    const cancelled = new ResponseStream(new SlowSink(), abort.signal).writeLent(Buffer.alloc(1));
    abort.abort();
    await assert.rejects(cancelled, { name: 'AbortError' });
    const sink = new SlowSink();
    const lost = new ResponseStream(sink, new AbortController().signal).writeLent(Buffer.alloc(1));
    sink.taken[0]?.(new Error('The stream was destroyed'));
    await assert.rejects(lost, { name: 'AbortError' });
  });
});

function stateOf(work: Promise<void>): Promise<string> {
  return Promise.race([work.then(() => 'done'), Promise.resolve('waits')]);
}
