import assert from 'node:assert/strict';
import { TurnsPerKey } from './turns-per-key.ts';

const never = new AbortController().signal;
const stateOf = (work: Promise<unknown>) =>
  Promise.race([
    work.then(() => 'has it'),
    new Promise((resolve) => setImmediate(resolve, 'waits')),
  ]);

describe('turns per key', () => {
  it('are so many of one key, its next ones wait in order, and those of others do not (SEC-4)', async () => {
    const turns = new TurnsPerKey(2);
    const ends = [await turns.take('a', never), await turns.take('a', never)];
    const third = turns.take('a', never);
    const fourth = turns.take('a', never);
    assert.equal(await stateOf(third), 'waits');
    const other = await turns.take('b', never);
    ends[0]?.();
    assert.equal(await stateOf(third), 'has it');
    assert.equal(await stateOf(fourth), 'waits');
    ends[1]?.();
    for (const end of [await third, await fourth, other]) end();
    assert.equal(turns.keyCount, 0, 'nothing is remembered of who is gone');
  });

  it('pass over who gave up', async () => {
    const turns = new TurnsPerKey(1);
    const end = await turns.take('a', never);
    const abort = new AbortController();
    const second = assert.rejects(turns.take('a', abort.signal), { name: 'AbortError' });
    const third = turns.take('a', never);
    abort.abort();
    await second;
    end();
    (await third)();
    assert.equal(turns.keyCount, 0);
    await assert.rejects(turns.take('a', AbortSignal.abort()), { name: 'AbortError' });
    assert.equal(turns.keyCount, 0);
  });
});
