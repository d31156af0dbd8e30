import type { DistributionJob } from '../../../shared/domain/distribution-job.ts';
import type { DistributionPoint } from '../../../shared/domain/distribution-point.ts';
import { ChangeNotifier } from '../../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import { PackageStore } from '../../distribution-manager/package-store.ts';
import { openTestMachine, testSiteCode } from '../../distribution-manager/testing/test-site.ts';
import { StatusManager } from '../../status-manager/status-manager.ts';
import type { JobRun, RunResult } from '../job-run.ts';
import { defaultPullConfig } from '../pull-config.ts';
import type { RunningJobsComponents } from '../running-jobs.ts';

/** What runs of a test's jobs do. */
export type FakeRun = (run: JobRun) => Promise<RunResult>;

/** How the tests' jobs are tried. */
export const testJobConfig = {
  retryCountMax: 100,
  retryDelayMs: 5_000,
  retryDelayMsMax: 1_800_000,
  diskFullDelayMs: 2_000,
  diskFullDelayMsMax: 30_000,
  progressWriteMs: 1_000,
  packagesMax: 3,
  distributionPointsPerPackageMax: 5,
  pull: defaultPullConfig,
};

/** A store with what jobs need around them; no network, runs are played. */
export async function openJobGround() {
  const machine = await openTestMachine();
  const { store, clock, log } = machine;
  const notifier = new ChangeNotifier({ store });
  const packages = new PackageStore({ store, clock });
  const status = await StatusManager.open({ store, clock, siteCode: testSiteCode });
  const dpOf = async (dpId: string) => ({ dpId, address: `${dpId}:8531` }) as DistributionPoint;
  const hierarchy = {
    get: dpOf,
    require: dpOf,
    recordReachability: async () => {},
    recordTransferRate: async () => {},
  } as unknown as RunningJobsComponents['hierarchy'] & { get: typeof dpOf };
  return {
    store,
    notifier,
    packages,
    status,
    clock,
    hierarchy,
    cancellation: { complete: async () => {}, confirmedBy: async () => {} },
    random: () => 1,
    logger: log.logger,
    /** Writes the row of a job, as Distribution Manager does, and tells of it. */
    async add(job: DistributionJob): Promise<void> {
      const key = joinKey(job.jobSerial);
      const row = store.records(keySpaces.distributionJobs).put(key, job);
      await store.write([row, notifier.notification('distribution-job', key)], { sync: false });
    },
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
}

/** See `openJobGround`. */
export type JobGround = Awaited<ReturnType<typeof openJobGround>>;
