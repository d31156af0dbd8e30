import assert from 'node:assert/strict';
import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import type { PackageServer, SitePackage } from '../../shared/domain/site-package.ts';
import { isUnsound, type ValidationResult } from '../../shared/domain/validation-result.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { testProperties } from '../../shared/testing/test-library.ts';
import { PackageStore } from '../distribution-manager/package-store.ts';
import { JobTable } from '../package-transfer-manager/job-table.ts';
import { StatusManager } from '../status-manager/status-manager.ts';
import { ValidationRequests } from './validation-requests.ts';
import { ValidationResults } from './validation-results.ts';

const packageId = 'PS100001';
const dpId = 'PS1DP1';
const key = joinKey(packageId, dpId);
const hash = 'a'.repeat(64);
const nowMs = 5_000;

const sitePackage = {
  ...{ packageId, properties: testProperties, sourceSiteCode: 'PS1', sourceVersion: 2 },
  ...{ packageHash: hash, state: 'published', reason: '', sourceUnchanged: false },
  ...{ acceptedRequestCount: 1, handledRequestCount: 1, createdAtMs: 0, updatedAtMs: 0 },
  sources: [{ directory: '/s', contentName: packageId, content: { fileCount: 12, sizeBytes: 34 } }],
} as unknown as SitePackage;

const server: PackageServer = {
  ...{ packageId, dpId, intent: 'installed', action: 'none', changedAtMs: 0, wishId: 'w' },
};

const installed: PackageStatus = {
  ...{ packageId, dpId, state: 'installed', installedVersion: 2, targetVersion: 2 },
  ...{ reason: '', changedAtMs: 0, jobSerial: 3, verifiedHash: hash },
};

const soundReport: ValidationReport = {
  ...{ heldVersion: 2, heldHash: hash, fileCount: 12, files: [], alsoUsedBy: [] },
  ...{ damagedCount: 0, missingCount: 0, mendedCount: 0 },
  ...{ damagedDeltaCount: 0, damagedManifestCount: 0 },
};

const unsoundReport: ValidationReport = {
  ...{ ...soundReport, damagedCount: 2, missingCount: 1 },
  files: [{ path: 'a', fileHash: hash, finding: 'damaged', detail: 'it is cut' }],
};

describe('Requests and results of validation (PKG-8)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let notifier: ChangeNotifier;
  let packages: PackageStore;
  let status: StatusManager;
  let results: ValidationResults;
  const clock = new FakeClock();
  const log = new CapturedLog();

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = log;
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    notifier = new ChangeNotifier({ store });
    packages = new PackageStore({ store, clock });
    status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
    results = new ValidationResults({ store, notifier, packages, status, siteCode: 'PS1' });
    const rows = [
      packages.packages.put(packageId, sitePackage),
      packages.putServer(server),
      packages.putStatus(installed),
    ];
    await store.write(rows, { sync: false });
  });
  afterEach(async () => {
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const order = { wishId: 'wish', repair: true, bytesPerSecond: 0 };

  async function take(job: Partial<DistributionJob>): Promise<ValidationResult | undefined> {
    const facts = { packageId, dpId, sourceVersion: 2, state: 'complete', validation: order };
    const made = testJob({ action: 'validate', ...facts, ...job } as Partial<DistributionJob>);
    const changes = await results.changesOf(made, nowMs);
    await store.write(changes(), { sync: false });
    return found();
  }

  const found = () =>
    store.records(keySpaces.validationResults).get(joinKey(packageId, 'PS1', dpId));
  const messageIds = async () =>
    (await status.query({ countMax: 100 } as never)).map(({ messageId }) => messageId);
  const own = (id: string) => store.records(keySpaces.ownValidationRequests).get(joinKey(id, dpId));

  it('of what is whole says so, and nothing else changes', async () => {
    const result = await take({ validationReport: soundReport });
    assert.deepEqual([result?.fileCount, result?.wishId], [12, 'wish']);
    assert.deepEqual(await messageIds(), [2384]);
    assert.deepEqual(await packages.getStatus(packageId, dpId), installed);
    assert.deepEqual(await packages.getServer(packageId, dpId), server);
  });

  it('brings again what is absent by an ordinary distribution', async () => {
    await take({ validationReport: unsoundReport });
    assert.equal((await packages.getServer(packageId, dpId))?.action, 'add');
    assert.equal(
      (await packages.getServer(packageId, dpId))?.wishId,
      'w',
      'no wish is acted on anew',
    );
    assert.equal((await packages.getStatus(packageId, dpId))?.state, 'content-updating');
    const pending = [];
    for await (const { subject } of notifier.pending('package')) pending.push(subject);
    assert.deepEqual(pending, [packageId]);
    assert.deepEqual(await messageIds(), [2382, 2385, 2383]);
  });

  it('leaves it to an administrator when told so, as something that failed (ADM-1)', async () => {
    await take({ validationReport: unsoundReport, validation: { ...order, repair: false } });
    assert.equal((await packages.getServer(packageId, dpId))?.action, 'none');
    const row = await packages.getStatus(packageId, dpId);
    assert.equal(row?.state, 'install-failed');
    assert.match(row.reason, /2 files damaged, 1 missing/);
    // The next one finds it whole.
    await take({ validationReport: soundReport });
    assert.equal((await packages.getStatus(packageId, dpId))?.state, 'installed');
  });

  it('does nothing beside what is on its way already, or is not meant to be there', async () => {
    await store.write([packages.putServer({ ...server, action: 'redistribute' })], { sync: false });
    await take({ validationReport: unsoundReport });
    assert.equal((await packages.getServer(packageId, dpId))?.action, 'redistribute');
    assert.deepEqual(await packages.getStatus(packageId, dpId), installed);
    await store.write([packages.putServer({ ...server, intent: 'removed' })], { sync: false });
    await take({ validationReport: soundReport });
    assert.equal((await found())?.damagedCount, 2, 'nothing is told of it any more');
  });

  it('of a DP that holds another version, or nothing, says that all is missing', async () => {
    const result = await take({
      validationReport: { ...soundReport, heldVersion: 0, heldHash: '' },
    });
    assert.deepEqual([result?.missingCount, result?.damagedCount], [12, 0]);
    assert.deepEqual(await messageIds(), [2388, 2385, 2383]);
    assert.equal((await packages.getServer(packageId, dpId))?.action, 'add');
  });

  it('looks at files again when their manifest has come, a few times', async () => {
    const damaged = { ...unsoundReport, damagedManifestCount: 1 };
    const result = await take({ validationReport: damaged });
    assert.equal(result?.isPartial, true);
    assert.deepEqual(
      [(await own(packageId))?.round, (await own(packageId))?.wishId],
      [1, 'wish.1'],
    );
    // That it came again does not say that what stands in it is whole.
    const brought = { messageId: 2330, status: installed, isUnassigned: false } as const;
    const job = testJob({ packageId, dpId, sourceVersion: 2 });
    assert.deepEqual(await results.changesAfter(job, brought, nowMs), []);
    await store.write([store.records(keySpaces.ownValidationRequests).delete(key)], {
      sync: false,
    });
    await take({ validationReport: damaged, validation: { ...order, round: 2 } });
    assert.equal(await own(packageId), undefined);
  });

  it('tells at last of all that its rounds have found', async () => {
    const damaged = { ...soundReport, damagedCount: 1, damagedManifestCount: 1 };
    await take({ validationReport: damaged });
    const second = { ...order, wishId: 'wish.1', round: 1 };
    const result = await take({ validationReport: unsoundReport, validation: second });
    assert.deepEqual(
      [result?.damagedCount, result?.missingCount, result?.repairedCount],
      [3, 1, 1],
      'the manifest has come again, its files are to come',
    );
    const third = { ...order, wishId: 'wish.1.2', round: 2 };
    const whole = await take({ validationReport: soundReport, validation: third });
    assert.ok(whole && !isUnsound(whole));
    assert.deepEqual([whole.damagedCount, whole.missingCount, whole.repairedCount], [3, 1, 4]);
    const other = await take({ validationReport: soundReport });
    assert.equal(other?.repairedCount, 0, 'another wish begins anew');
  });

  describe('of a DP that holds an older version', () => {
    const older = { ...soundReport, heldVersion: 1, heldHash: 'b'.repeat(64), fileCount: 7 };
    const held = { installedVersion: 1, verifiedHash: older.heldHash, jobSerial: 9 };

    async function begin(state: 'cancelled' | 'failed'): Promise<void> {
      const row = { ...installed, ...held, state: 'install-failed', reason: 'why' } as const;
      const history = store.records(keySpaces.jobHistory);
      const job = testJob({ packageId, dpId, jobSerial: 9, state });
      await store.write([packages.putStatus(row), history.put(joinKey(9), job)], { sync: false });
    }

    it('validates it as that version', async () => {
      await begin('failed');
      const result = await take({ validationReport: older });
      assert.deepEqual([result?.sourceVersion, result?.fileCount, result?.missingCount], [1, 7, 0]);
      assert.deepEqual(await messageIds(), [2384]);
      assert.equal((await packages.getServer(packageId, dpId))?.action, 'none');
    });

    it('never brings back what an administrator cancelled (PKG-9)', async () => {
      await begin('cancelled');
      const result = await take({ validationReport: { ...older, damagedCount: 1 } });
      assert.match(result?.failure ?? '', /cancelled version 2 .*package distribute PS100001/);
      assert.equal((await packages.getServer(packageId, dpId))?.action, 'none');
      assert.equal((await packages.getStatus(packageId, dpId))?.reason, 'why');
      const nothing = { ...soundReport, heldVersion: 0, heldHash: '' };
      await take({ validationReport: nothing });
      assert.equal((await packages.getServer(packageId, dpId))?.action, 'none');
    });

    it('brings the version it is to have where it is damaged and nobody cancelled', async () => {
      await begin('failed');
      await take({ validationReport: { ...older, damagedCount: 1 } });
      assert.equal((await packages.getServer(packageId, dpId))?.action, 'add');
    });
  });

  it('looks at other packages that lack a file now, unless it is brought again', async () => {
    await store.write([packages.putServer({ ...server, packageId: 'PS100002' })], { sync: false });
    const shared = { ...unsoundReport, alsoUsedBy: ['PS100002', 'PS100003'] };
    await take({ validationReport: shared });
    assert.equal(await own('PS100002'), undefined);
    await take({ validationReport: shared, validation: { ...order, repair: false } });
    assert.equal((await own('PS100002'))?.repair, false);
    assert.equal(await own('PS100003'), undefined, 'it is not meant to be there');
  });

  it('keeps what was found before when a validation tells nothing', async () => {
    await take({ validationReport: unsoundReport });
    const { validationReport: _, ...none } = { validationReport: undefined };
    const result = await take({ ...none, state: 'failed', reason: 'no answer' });
    assert.deepEqual([result?.damagedCount, result?.failure], [2, 'no answer']);
    assert.equal((await messageIds()).at(-1), 2383);
  });

  it('counts as repaired what was brought, and forgets what is gone or another version', async () => {
    await take({ validationReport: unsoundReport });
    const job = testJob({ packageId, dpId, sourceVersion: 2 });
    const brought = { messageId: 2330, status: installed, isUnassigned: false } as const;
    await store.write(await results.changesAfter(job, brought, nowMs), { sync: false });
    const result = await found();
    assert.ok(result && !isUnsound(result));
    assert.equal(result.repairedCount, 3);
    const update = { ...job, sourceVersion: 3 };
    await store.write(await results.changesAfter(update, brought, nowMs), { sync: false });
    assert.equal(await found(), undefined);
  });

  it('of what a retry brought says that it is whole, and looks at what nobody could look at', async () => {
    const damagedManifest = { ...soundReport, damagedCount: 1, damagedManifestCount: 1 };
    const job = testJob({ packageId, dpId, sourceVersion: 2 });
    const brought = { messageId: 2330, status: installed, isUnassigned: false } as const;
    const bring = async () =>
      store.write(await results.changesAfter(job, brought, nowMs), { sync: false });
    await take({ validationReport: damagedManifest, validation: { ...order, repair: false } });
    await bring();
    const result = await found();
    assert.ok(result && !isUnsound(result));
    const look = await own(packageId);
    assert.deepEqual([look?.wishId, look?.repair], ['wish.again', true]);
    // A manifest that is damaged each time is left to an administrator, and is listed.
    assert.ok(look);
    await take({ validationReport: damagedManifest, validation: look });
    await bring();
    assert.ok(isUnsound((await found())!));
    assert.equal((await own(packageId))?.wishId, 'wish.again');
  });

  it('waits for the round that is asked for already', async () => {
    const damagedManifest = { ...soundReport, damagedCount: 1, damagedManifestCount: 1 };
    await take({ validationReport: damagedManifest });
    const brought = { messageId: 2330, status: installed, isUnassigned: false } as const;
    const job = testJob({ packageId, dpId, sourceVersion: 2 });
    assert.deepEqual(await results.changesAfter(job, brought, nowMs), []);
    assert.equal((await own(packageId))?.wishId, 'wish.1');
  });

  describe('a request', () => {
    let jobs: JobTable;
    let requests: ValidationRequests;

    beforeEach(async () => {
      jobs = new JobTable({ store, notifier, packages, status, clock });
      await begin();
    });
    afterEach(() => requests.stop());

    async function begin(): Promise<void> {
      const jobSerials = await SerialCounter.open(store, 'job-serials', { atLeast: 10 });
      requests = new ValidationRequests({
        ...{ store, notifier, packages, jobs, jobSerials, status, clock, logger: log.logger },
        hierarchy: {
          get: async (id) => (id === dpId ? ({ dpId } as never) : undefined),
        },
      });
      await requests.start();
    }

    async function wish(wishId: string, ofDp = dpId): Promise<void> {
      const request = { packageId, dpId: ofDp, wishedAtMs: 0, ...order, wishId };
      const rows = store.records(keySpaces.validationRequests);
      const row = rows.put(joinKey(packageId, ofDp), request);
      await store.write([row, notifier.notification('validation-request', packageId)], {
        sync: false,
      });
      await settled();
    }

    async function settled(): Promise<void> {
      for (let left = 1; left > 0; ) {
        left = 0;
        await new Promise((resolve) => setImmediate(resolve));
        for await (const _ of notifier.pending('validation-request')) left += 1;
      }
      await packages.turn(packageId, async () => {});
    }

    async function made(): Promise<DistributionJob[]> {
      for await (const _ of jobs.takeNotified());
      return [...jobs.open()];
    }

    it('becomes a job of low priority, once, also over a restart', async () => {
      await wish('one');
      await requests.stop();
      await begin();
      await settled();
      const all = await made();
      assert.equal(all.length, 1);
      const [job] = all;
      assert.deepEqual([job?.action, job?.priority, job?.sourceVersion], ['validate', 3, 2]);
      assert.deepEqual(job?.validation, { ...order, wishId: 'one' });
      assert.equal(job?.totalBytes, 34);
      assert.deepEqual(await messageIds(), [2381]);
    });

    it('waits for what is on its way to the package there, and never takes over from it', async () => {
      const adding = testJob({ packageId, dpId, jobSerial: installed.jobSerial, action: 'add' });
      // Its row is written, and nobody has taken it up yet.
      const rows = store.records(keySpaces.distributionJobs);
      await store.write([rows.put(joinKey(adding.jobSerial), adding)], { sync: false });
      await wish('one');
      assert.deepEqual(await made(), []);
      await jobs.load();
      await jobs.end(adding, 'failed', { reason: 'why' });
      const acted = store.records(keySpaces.actedValidations);
      while (!(await acted.get(joinKey(packageId, dpId, 'asked')))) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.deepEqual(
        (await made()).map(({ action }) => action),
        ['validate'],
      );
    });

    it('leads to nothing where the package is not meant to be, or on a DP of another site', async () => {
      await wish('other', 'PS2DP1');
      await store.write([packages.deleteServer(packageId, dpId)], { sync: false });
      await wish('one');
      await store.write([packages.putServer(server)], { sync: false });
      await wish('one');
      assert.deepEqual(await made(), [], 'it was acted on while it was not there');
    });
  });
});
