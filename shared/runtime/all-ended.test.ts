import assert from 'node:assert/strict';
import { allEnded } from './all-ended.ts';

describe('all ended', () => {
  it('gives all results, in their order', async () => {
    assert.deepEqual(await allEnded([Promise.resolve(1), Promise.resolve('a')]), [1, 'a']);
  });

  it('rejects with the first failure, and only when nothing runs any more', async () => {
    let end: () => void = () => {};
    const slow = new Promise<void>((resolve) => {
      end = resolve;
    });
    let isOver = false;
    const all = allEnded([slow, Promise.reject(new Error('a')), Promise.reject(new Error('b'))]);
    const told = assert.rejects(all, /^Error: a$/).finally(() => {
      isOver = true;
    });
    await new Promise(setImmediate);
    assert.equal(isOver, false);
    end();
    await told;
  });
});
