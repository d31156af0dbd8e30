import assert from 'node:assert/strict';
import { AgentStreams, StreamBudget } from './stream-budget.ts';

const limits = { streamsMax: 8, streamsInAllMax: 32 };

describe('streams of downloads', () => {
  /** Opens what there is room for, at so many sources. */
  function fill(budget: StreamBudget, sourceCount: number): number {
    const sources = Array.from({ length: sourceCount }, () => ({ streamCount: 0, streamLimit: 8 }));
    let count = 0;
    for (let hasOpened = true; hasOpened; ) {
      hasOpened = false;
      for (const source of sources) {
        if (!budget.hasRoomFor(source)) continue;
        budget.opened(source);
        count += 1;
        hasOpened = true;
      }
    }
    return count;
  }

  it('are a few, and one for each further source', () => {
    const agent = new AgentStreams(64);
    assert.equal(fill(new StreamBudget(limits, agent), 1), 8);
    assert.equal(fill(new StreamBudget(limits, new AgentStreams(64)), 20), 20);
    assert.equal(fill(new StreamBudget(limits, new AgentStreams(64)), 40), 32);
  });

  it('are bounded for all downloads of an agent, and each has one (PULL-10)', () => {
    const agent = new AgentStreams(64);
    const counts = Array.from({ length: 80 }, () => fill(new StreamBudget(limits, agent), 40));
    assert.ok(counts.every((count) => count >= 1));
    const first = counts.slice(0, 4);
    assert.deepEqual(first, [32, 32, 21, 16]);
  });

  it('go to others when a download has none any more', () => {
    const agent = new AgentStreams(4);
    const [one, other] = [new StreamBudget(limits, agent), new StreamBudget(limits, agent)];
    const source = { streamCount: 0, streamLimit: 8 };
    for (let count = 0; count < 4; count++) one.opened(source);
    assert.equal(fill(other, 1), 2);
    for (let count = 0; count < 4; count++) one.closed(source);
    assert.equal(fill(other, 1), 2, 'all four are its own');
  });
});
