import assert from 'node:assert/strict';
import { isRunning } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { JobTable } from './job-table.ts';
import { JobView } from './job-view.ts';
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

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise(setImmediate);
}

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

  it('says in the sentence of each job that the disk of the site is full, until it is not', async () => {
    const facts = { code: 'DISK_FULL', path: '/site', freeBytes: 1, neededBytes: 2 } as const;
    const full = new WaybillError(facts);
    const { store } = ground;
    const write = store.write.bind(store);
    const view = new JobView({ ...ground, jobs, transfers: manager });
    const filter = { packageId: '', dpId: '', history: false, limit: 0 };
    const toldReason = async () => {
      for await (const { reason } of view.list(filter)) return reason;
      return undefined;
    };
    await ground.add(testJob());
    await jobs.load();
    store.write = async () => Promise.reject(full);
    await manager.start();
    await until(() => manager.holdReason !== '');
    assert.ok((await toldReason())?.includes(full.message));
    store.write = write;
    await until(() => ground.clock.sleeperCount > 0);
    await ground.clock.advance(2_000);
    await until(() => manager.holdReason === '');
    assert.equal(await toldReason(), '');
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
