import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { FileClaims } from './file-claims.ts';

const hash = 'a'.repeat(64);
const first = {};
const second = {};
const never = new AbortController().signal;

/** Whether a promise has resolved by now. */
async function isDone(promise: Promise<void>): Promise<boolean> {
  return Promise.race([promise.then(() => true), new Promise(setImmediate).then(() => false)]);
}

describe('file claims', () => {
  it('give a file to the first that asks', () => {
    const claims = new FileClaims();
    assert.equal(claims.claim(hash, first), 'mine');
    assert.equal(claims.claim(hash, first), 'already-mine');
    assert.equal(claims.claim(hash, second), 'others');
    assert.equal(claims.claim('b'.repeat(64), second), 'mine');
  });

  it('cost less than 100 bytes a file, so that a content of a million is no matter', () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    const heapBytes = () => {
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const claims = new FileClaims();
    const count = 100_000;
    const before = heapBytes();
    for (let index = 0; index < count; index++) {
      const start = Buffer.alloc(4);
      start.writeUInt32BE(index);
      assert.equal(claims.claim(start.toString('hex').padEnd(64, '0'), first), 'mine');
    }
    assert.ok((heapBytes() - before) / count < 100);
    assert.equal(claims.claim('0'.repeat(64), second), 'others');
  });

  it('free all files of a transfer that ended, and only those', () => {
    const claims = new FileClaims();
    claims.claim(hash, first);
    claims.claim('b'.repeat(64), second);
    claims.releaseAll(first);
    assert.equal(claims.claim(hash, second), 'mine');
    assert.equal(claims.claim('b'.repeat(64), first), 'others');
  });

  it('wake all who wait when a transfer ends, not before', async () => {
    const claims = new FileClaims();
    claims.claim(hash, first);
    const waits = [
      claims.someReleased(claims.releaseCount, never),
      claims.someReleased(claims.releaseCount, never),
    ];
    assert.deepEqual(await Promise.all(waits.map(isDone)), [false, false]);
    claims.releaseAll(first);
    assert.deepEqual(await Promise.all(waits.map(isDone)), [true, true]);
    assert.equal(
      await isDone(claims.someReleased(claims.releaseCount, never)),
      false,
      'only what ends after the call',
    );
  });

  it('wake at once who has missed the end of a transfer', async () => {
    const claims = new FileClaims();
    const { releaseCount } = claims;
    claims.releaseAll(first);
    await claims.someReleased(releaseCount, never);
  });

  it('let go of who is aborted', async () => {
    const claims = new FileClaims();
    const controller = new AbortController();
    const wait = claims.someReleased(0, controller.signal);
    const reason = new Error('not wanted any more');
    controller.abort(reason);
    await assert.rejects(wait, reason);
    await assert.rejects(claims.someReleased(0, controller.signal), reason);
    claims.releaseAll(first);
  });
});
