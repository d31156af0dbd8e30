import assert from 'node:assert/strict';
import { readAhead } from './read-ahead.ts';

describe('read ahead', () => {
  const failure = new Error('broken source');

  it('yields the same items and makes the next one meanwhile', async () => {
    const made: number[] = [];
    const seen: [number, number[]][] = [];
    for await (const item of readAhead(numbers(made, 3))) {
      await new Promise(setImmediate);
      seen.push([item, [...made]]);
    }
    assert.deepEqual(seen, [
      [0, [0, 1]],
      [1, [0, 1, 2]],
      [2, [0, 1, 2]],
    ]);
  });

  it('fails with the failure of the source, after what came before it', async () => {
    const seen: number[] = [];
    await assert.rejects(async () => {
      for await (const item of readAhead(numbers([], 2, failure))) {
        // The source has failed by now.
        await new Promise(setImmediate);
        seen.push(item);
      }
    }, failure);
    assert.deepEqual(seen, [0, 1]);
  });

  it('ends the source when it is left early', async () => {
    let isEnded = false;
    async function* source() {
      try {
        yield* [1, 2, 3];
      } finally {
        isEnded = true;
      }
    }
    for await (const _ of readAhead(source())) break;
    assert.ok(isEnded);
  });
});

async function* numbers(made: number[], count: number, failure?: Error): AsyncGenerator<number> {
  for (let index = 0; index < count; index++) {
    made.push(index);
    yield index;
  }
  if (failure) throw failure;
}
