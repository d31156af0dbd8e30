import assert from 'node:assert/strict';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { NeighbourStates } from './neighbour-states.ts';

describe('states of neighbours (REP-1)', () => {
  const held = { error: new Error('x'), forMs: 1_000 };
  let clock: FakeClock;
  let states: NeighbourStates;

  beforeEach(() => {
    clock = new FakeClock();
    states = new NeighbourStates(clock, 5_000);
  });

  it('an old refusal is over once a stream was well', async () => {
    states.ended('PS1', 'site PS1 refused: x', held);
    states.connected('PS1');
    states.heard('PS1');
    assert.equal(states.of('PS1').reason, 'site PS1 refused: x', 'it may be refused again at once');
    await clock.advance(5_000);
    states.heard('PS1');
    assert.deepEqual([states.of('PS1').reason, states.of('PS1').refusalCount], ['', 0]);
  });

  it('what is not taken while the stream goes on stays', async () => {
    states.ended('PS1', 'site PS1 refused: x', held);
    states.connected('PS1');
    states.refused('PS1', 'y');
    await clock.advance(5_000);
    states.heard('PS1');
    assert.equal(states.of('PS1').reason, 'y');
  });

  it('a site that was taken out begins anew', () => {
    states.ended('PS1', 'site PS1 refused: x', held);
    states.forget('PS1');
    assert.equal(states.of('PS1').reason, 'it has not connected yet');
    assert.equal(states.heldRefusal('PS1'), undefined);
  });
});
