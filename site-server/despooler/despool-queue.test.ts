import assert from 'node:assert/strict';
import type { ReceivedInstruction } from '../../shared/domain/site-instruction.ts';
import { type DespoolEntry, nextToDespool } from './despool-queue.ts';

function entry(
  sourceVersion: number,
  baseVersion: number,
  facts: Partial<ReceivedInstruction> & { readonly state?: DespoolEntry['state'] } = {},
): DespoolEntry {
  const { state = 'ready', ...row } = facts;
  const about = { packageId: 'CS100001', finalSiteCode: 'PS1', priority: 2, receivedAtMs: 0 };
  const jobId = `${row.packageId ?? ''}.${sourceVersion}`;
  const made = { ...about, jobId, sourceVersion, baseVersion, ...row } as ReceivedInstruction;
  return { row: made, state } as DespoolEntry;
}

const next = (...entries: DespoolEntry[]) => nextToDespool(entries)?.row.jobId ?? 'none';

describe('what is despooled next (REP-6)', () => {
  it('a delta before a whole file that would take its base away', () => {
    assert.equal(next(entry(3, 0), entry(4, 2)), '.4');
  });

  it('a delta after what may bring its base', () => {
    assert.equal(next(entry(4, 3), entry(3, 0)), '.3');
    assert.equal(next(entry(4, 3), entry(3, 0, { state: 'waiting' })), 'none');
    assert.equal(next(entry(4, 3), entry(2, 0)), '.2');
  });

  it('the highest version: what is lower is needless then', () => {
    assert.equal(next(entry(1, 0), entry(3, 0), entry(2, 0)), '.3');
  });

  it('one of a package at a time; of packages by priority, then age', () => {
    assert.equal(next(entry(2, 0), entry(1, 0, { state: 'running' })), 'none');
    const late = entry(1, 0, { packageId: 'A', receivedAtMs: 2 });
    const early = entry(1, 0, { packageId: 'B', receivedAtMs: 1 });
    const urgent = entry(1, 0, { packageId: 'C', receivedAtMs: 3, priority: 1 });
    assert.equal(next(late, early), 'B.1');
    assert.equal(next(late, early, urgent), 'C.1');
  });
});
