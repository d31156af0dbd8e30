import assert from 'node:assert/strict';
import { testJob } from '../testing/test-job.ts';
import {
  isOpen,
  isRunning,
  isWaiting,
  type JobState,
  jobMovesFrom,
  moved,
} from './distribution-job.ts';

const states = Object.keys(jobMovesFrom) as JobState[];

describe('distribution job', () => {
  it('moves along its table only (PTM-1)', () => {
    for (const from of states) {
      for (const to of states) {
        const isAllowed = (jobMovesFrom[from] as readonly JobState[]).includes(to);
        const move = () => moved(testJob({ state: from }), to, { updatedAtMs: 7 });
        if (isAllowed) assert.equal(move().state, to);
        else assert.throws(move, new RegExp(`no move ${from} → ${to}`));
      }
    }
  });

  it('has ended for good when it is complete or cancelled', () => {
    assert.deepEqual([...jobMovesFrom.complete, ...jobMovesFrom.cancelled], []);
  });

  it('forgets why it waited when it moves, unless the move says why', () => {
    const job = testJob({ state: 'pending-restart', waitingReason: 'retry-at' });
    assert.equal('waitingReason' in moved(job, 'started', { updatedAtMs: 7 }), false);
    const waiting = { updatedAtMs: 7, waitingReason: 'dp-unreachable' } as const;
    assert.equal(
      moved(testJob({ state: 'started' }), 'pending-restart', waiting).waitingReason,
      'dp-unreachable',
    );
  });

  it('is open until it has ended, and holds a slot while it runs', () => {
    const open = states.filter((state) => isOpen(testJob({ state })));
    const waiting = states.filter((state) => isWaiting(testJob({ state })));
    assert.deepEqual(waiting.toSorted(), ['pending', 'pending-restart', 'ready', 'suspended']);
    const running = states.filter((state) => isRunning(testJob({ state })));
    assert.deepEqual(
      states.filter((state) => !open.includes(state)),
      ['complete', 'failed', 'cancelled'],
    );
    assert.deepEqual(running, ['started', 'in-progress']);
  });
});
