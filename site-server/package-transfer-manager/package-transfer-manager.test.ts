import assert from 'node:assert/strict';
import { isRunning } from '../../shared/domain/distribution-job.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { JobTable } from './job-table.ts';
import { PackageTransferManager } from './package-transfer-manager.ts';
import {
  type FakeRun,
  type JobGround,
  openJobGround,
  testJobConfig,
} from './testing/job-ground.ts';

/** A run that ends when it is aborted. */
const untilAborted: FakeRun = ({ signal }) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

describe('Package Transfer Manager', () => {
  let ground: JobGround;
  let jobs: JobTable;
  let manager: PackageTransferManager;

  beforeEach(async () => {
    ground = await openJobGround();
    jobs = new JobTable(ground);
    const returns = { watch: () => {}, forget: () => {} };
    const runner = { run: untilAborted };
    manager = new PackageTransferManager({ ...ground, jobs, runner, returns }, testJobConfig);
  });

  afterEach(async () => {
    await manager.stop();
    await ground[Symbol.asyncDispose]();
  });

  it('counts no restart of the site as a failed try', async () => {
    await ground.add(testJob({ state: 'in-progress', tryCount: 99 }));
    const started = new Promise<void>((resolve) => {
      jobs.onChanged((job) => {
        if (isRunning(job)) resolve();
      });
    });
    await manager.start();
    await started;
    assert.equal(jobs.get(1)?.tryCount, 1);
  });
});
