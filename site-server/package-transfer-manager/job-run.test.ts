import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import type { DistributionPointChannel } from '../distribution-point-connections/distribution-point-connections.ts';
import { type JobRun, JobRunner } from './job-run.ts';
import type { PieceSource } from './piece-source.ts';
import { TransferProgress } from './transfer-progress.ts';

const job = testJob({ action: 'remove' });
const config = { lanesMax: 1, callDeadlineMs: 1_000, contentDeadlineMs: 10_000 };

describe('job runner', () => {
  let asked: string[];
  let freeBytes: number;
  beforeEach(() => {
    asked = [];
  });

  function run(wasDiskFull: boolean): Promise<string | undefined> {
    const channel = {
      unary: async (method: string) => {
        asked.push(method);
        return {};
      },
    } as unknown as DistributionPointChannel;
    const check = async () => {
      asked.push('check');
      return { dpId: job.dpId, siteCode: 'PS1', agentVersion: '1', freeBytes };
    };
    const runner = new JobRunner(
      {
        library: { getPackage: () => assert.fail(), openContent: () => assert.fail() },
        pieceSource: {} as PieceSource,
        connections: { check, channelTo: () => channel },
        clock: new FakeClock(),
      },
      config,
    );
    const progress = new TransferProgress({ monotonicMs: () => 0, onChange: () => {}, job });
    const dp = { dpId: job.dpId } as DistributionPoint;
    const signal = new AbortController().signal;
    const facts: JobRun = { job, dp, progress, signal, wasDiskFull };
    return runner.run(facts);
  }

  it('tries for real as soon as a full disk has any room: only the DP knows what it needs', async () => {
    freeBytes = 2 ** 20;
    await run(true);
    assert.deepEqual(asked, ['check', 'removePackage']);
  });

  it('begins nothing while the disk is full still', async () => {
    freeBytes = 2 ** 20 - 1;
    await assert.rejects(run(true), { code: 'DISK_FULL' });
    assert.deepEqual(asked, ['check']);
  });

  it('asks for no room when none was missing', async () => {
    freeBytes = 0;
    await run(false);
    assert.deepEqual(asked, ['removePackage']);
  });
});
