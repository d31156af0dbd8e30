import assert from 'node:assert/strict';
import { ConnectPace, defaultConnectPace } from './connect-pace.ts';

describe('how often a peer is tried that is waited for', () => {
  const newPace = () => new ConnectPace(defaultConnectPace, () => 1);

  /** The pauses, in seconds, of tries of five seconds each. */
  function pausesOf(pace: ConnectPace, count: number, before = () => {}, fromMs = 1_000): number[] {
    let nowMs = fromMs;
    return Array.from({ length: count }, () => {
      before();
      const ms = pace.pauseMs(nowMs);
      nowMs += ms + 5_000;
      return ms / 1_000;
    });
  }

  it('is without a pause for three minutes, then every few seconds: what waits is to go on when it is back', () => {
    const pauses = pausesOf(newPace(), 44);
    assert.deepEqual(new Set(pauses.slice(0, 36)), new Set([0]));
    assert.deepEqual(pauses.slice(36), [1, 2, 3, 3, 3, 3, 3, 3]);
  });

  it('is less and less often at once for one whose certificate is refused', () => {
    const pace = newPace();
    assert.deepEqual(
      pausesOf(pace, 5, () => pace.refused()),
      [1, 2, 4, 8, 16],
    );
    // Whoever it was is gone: the right one may come now.
    assert.equal(pace.pauseMs(100_000), 0);
    pace.connected();
    pace.refused();
    assert.equal(pace.pauseMs(101_000), 1_000);
  });

  it('begins with a short pause whenever the reason is another one', () => {
    const pace = newPace();
    assert.deepEqual(pausesOf(pace, 41).slice(36), [1, 2, 3, 3, 3]);
    assert.deepEqual(
      pausesOf(pace, 3, () => pace.refused(), 1_000_000),
      [1, 2, 4],
    );
  });

  it('is the same for all who wait', () => {
    const pace = newPace();
    pace.refused();
    assert.equal(pace.pauseMs(1_000), 1_000);
    assert.equal(pace.pauseMs(1_400), 600);
    assert.equal(pace.isSlow(1_400), false);
  });
});
