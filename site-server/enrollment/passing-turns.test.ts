import assert from 'node:assert/strict';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { PassingTurns } from './passing-turns.ts';

const guess = new Error('guess');
const isGuess = (error: unknown) => error === guess;

describe('turns of strangers with the parent (SEC-2)', () => {
  let clock: FakeClock;
  let turns: PassingTurns;
  let asked: string[];
  const { signal } = new AbortController();

  beforeEach(() => {
    clock = new FakeClock();
    turns = new PassingTurns(clock, { askedMax: 2, guessMs: 100 });
    asked = [];
  });

  const guessed = (address: string) => {
    const ask = async () => {
      asked.push(`${address} guesses`);
      throw guess;
    };
    const failed = assert.rejects(turns.run({ address, signal }, ask, isGuess), guess);
    return failed;
  };
  const honest = (address: string) =>
    turns.run({ address, signal }, async () => void asked.push(`${address} is right`), isGuess);

  it('one of each address at once, a moment after a guess, and those of others beside it', async () => {
    const all = [guessed('a'), guessed('a'), honest('a'), honest('b')];
    await clock.advance(0);
    assert.deepEqual(asked, ['a guesses', 'b is right']);
    await clock.advance(100);
    assert.deepEqual(asked.slice(2), ['a guesses']);
    await clock.advance(100);
    assert.deepEqual(asked.slice(3), ['a is right']);
    await Promise.all(all);
    assert.equal(clock.sleeperCount, 0);
  });

  it('few of all addresses at once, each address in its turn', async () => {
    const all = ['a', 'b', 'a', 'c'].map(guessed);
    await clock.advance(0);
    assert.deepEqual(asked, ['a guesses', 'b guesses']);
    await clock.advance(100);
    assert.deepEqual(asked.slice(2).sort(), ['a guesses', 'c guesses']);
    await Promise.all(all);
  });

  it('not for one who has gone meanwhile, whose place is free', async () => {
    const leaving = new AbortController();
    const first = guessed('a');
    const gone = turns.run({ address: 'a', signal: leaving.signal }, async () => {}, isGuess);
    leaving.abort();
    await assert.rejects(gone, { name: 'AbortError' });
    const last = honest('a');
    await clock.advance(100);
    await Promise.all([first, last]);
    assert.deepEqual(asked, ['a guesses', 'a is right']);
  });
});
