import assert from 'node:assert/strict';
import { Tally } from './tally.ts';

describe('Tally', () => {
  it('counts what comes, changes and goes, by kind', () => {
    const tally = new Tally<'ready' | 'running'>();
    tally.move(undefined, 'ready');
    tally.move(undefined, 'ready');
    tally.move('ready', 'running');
    tally.move('running', 'running');
    assert.deepEqual([tally.of('ready'), tally.of('running')], [1, 1]);
    tally.move('running', undefined);
    tally.add('ready', 3);
    assert.deepEqual([tally.of('ready'), tally.of('running')], [4, 0]);
  });
});
