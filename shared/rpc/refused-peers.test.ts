import assert from 'node:assert/strict';
import { RefusedPeers } from './refused-peers.ts';

describe('those whose certificates count for nothing any more (SEC-4)', () => {
  const newPeers = () => new RefusedPeers({ perSecond: 1, burst: 3 });
  const refusedOften = (peers: RefusedPeers, name: string, count: number, nowMs = 0) =>
    Array.from({ length: count }, () => peers.refused(name, nowMs));

  it('cost their address nothing, however many they are, as long as each comes seldom', () => {
    const peers = newPeers();
    for (let index = 0; index < 250; index++) {
      assert.deepEqual(refusedOften(peers, `dp/${index}`, 3), [false, false, false]);
    }
  });

  it('cost it each connection beyond that, until they have rested', () => {
    const peers = newPeers();
    assert.deepEqual(refusedOften(peers, 'dp/1', 5), [false, false, false, true, true]);
    assert.deepEqual(refusedOften(peers, 'dp/1', 1, 5_000), [false]);
  });

  it('are forgotten once they have rested', () => {
    const peers = newPeers();
    refusedOften(peers, 'dp/1', 1);
    peers.forget(500);
    assert.equal(peers.size, 1);
    peers.forget(1_000);
    assert.equal(peers.size, 0);
  });
});
