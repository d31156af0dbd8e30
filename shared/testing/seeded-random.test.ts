import assert from 'node:assert/strict';
import { SeededRandom } from './seeded-random.ts';

describe('SeededRandom', () => {
  it('gives the same for the same seed, and something else for another', () => {
    const drawn = (seed: number) => {
      const random = new SeededRandom(seed);
      return [random.next(), random.below(1_000), random.bytes(8).toString('hex')];
    };
    assert.deepEqual(drawn(7), drawn(7));
    assert.notDeepEqual(drawn(7), drawn(8));
  });

  it('spreads evenly over what is asked for', () => {
    const random = new SeededRandom(1);
    const counts = Array(10).fill(0) as number[];
    for (let draw = 0; draw < 10_000; draw++) {
      const index = random.below(10);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    assert.equal(counts.length, 10);
    for (const count of counts) assert(count > 850 && count < 1_150, `${counts}`);
  });

  it('picks one of what there is', () => {
    const random = new SeededRandom(1);
    assert(['a', 'b'].includes(random.pick(['a', 'b'])));
    assert.throws(() => random.pick([]), RangeError);
  });
});
