import assert from 'node:assert/strict';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { SiteContent } from '../../shared/domain/hierarchy-package.ts';
import type { MiniJob } from '../../shared/domain/send-request.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { CrashingStore } from '../../shared/testing/crashing-store.ts';
import { SendingMachine } from '../sender/testing/test-sending.ts';
import { StatusManager } from '../status-manager/status-manager.ts';
import { PackageStore } from './package-store.ts';
import { SiteContentTask } from './site-content-task.ts';
import { openMiniJobSerials } from './site-counters.ts';
import { testProperties } from './testing/test-site.ts';

const packageId = 'CS100001';
const never = new AbortController().signal;

describe('site content task (REP-2)', () => {
  let machine: SendingMachine;
  let task: SiteContentTask;
  let status: StatusManager;
  beforeEach(async () => {
    machine = await SendingMachine.open();
    task = await newTask();
    await put(
      ...['PS1DP1', 'PS1DP2', 'PS2DP1', 'CS1DP1'].map((dpId) => {
        const dp = { dpId, address: 'x:1', kind: 'standard', description: '' } as const;
        const row: DistributionPoint = { ...dp, siteCode: dpId.slice(0, 3) };
        return machine.store.records(keySpaces.hierarchyDistributionPoints).put(dpId, row);
      }),
    );
    await publish(1);
  });
  afterEach(() => machine[Symbol.asyncDispose]());

  async function newTask(store: StateStore = machine.store): Promise<SiteContentTask> {
    const { clock, log } = machine;
    const siteCode = 'CS1';
    status = await StatusManager.open({ store, clock, siteCode });
    const counters = { store: machine.store, clock, siteCode, isStoreDamaged: false };
    return new SiteContentTask({
      ...{ store, clock, status, siteCode, logger: log.logger },
      notifier: new ChangeNotifier({ store }),
      packages: new PackageStore({ store, clock }),
      versions: { hasVersion: () => true },
      miniJobSerials: await openMiniJobSerials(counters),
    });
  }

  const put = (...changes: Change[]) => machine.store.write(changes, { sync: false });
  const publish = (sourceVersion: number, facts: Partial<SitePackage> = {}) => {
    const sitePackage: SitePackage = {
      ...{ packageId, properties: testProperties, sourceSiteCode: 'CS1', sources: [] },
      ...{ sourceVersion, packageHash: `hash ${sourceVersion}`, state: 'published', reason: '' },
      ...{ acceptedRequestCount: 1, handledRequestCount: 1, sourceUnchanged: false },
      ...{ createdAtMs: 0, updatedAtMs: 0, ...facts },
    };
    return put(machine.store.records(keySpaces.packages).put(packageId, sitePackage));
  };
  const assign = (dpId: string, intent: 'installed' | 'removed' = 'installed') => {
    const action = intent === 'installed' ? 'add' : 'remove';
    const wish = { wishId: dpId, wishedAtMs: 1, siteCode: dpId.slice(0, 3) };
    const row = { packageId, dpId, intent, action, ...wish } as const;
    const assignments = machine.store.records(keySpaces.packageAssignments);
    return put(assignments.put(joinKey(packageId, dpId), row));
  };
  const holds = (siteCode: string, storedVersion: number, facts: Partial<SiteContent> = {}) => {
    const row: SiteContent = {
      ...{ packageId, siteCode, state: 'stored', storedVersion, reason: '', refusedJobId: '' },
      ...{ storedHash: `hash ${storedVersion}`, needsFull: false, changedAtMs: 1, ...facts },
    };
    return put(
      machine.store.records(keySpaces.siteContents).put(joinKey(packageId, siteCode), row),
    );
  };
  const jobs = async () => {
    const rows: MiniJob[] = [];
    for await (const [, job] of machine.store.records(keySpaces.miniJobs).list()) rows.push(job);
    return rows;
  };
  const run = () => task.run(packageId, never);
  const targets = async () =>
    (await jobs()).map(
      ({ finalSiteCode, baseVersion, sourceVersion }) =>
        `${finalSiteCode} ${baseVersion}..${sourceVersion}`,
    );
  const notified = async () => {
    const subjects = [];
    const notifier = new ChangeNotifier({ store: machine.store });
    for await (const { subject } of notifier.pending('mini-job')) subjects.push(subject);
    return subjects;
  };

  it('makes one mini-job for each other site with a DP that is to have the package', async () => {
    for (const dpId of ['PS1DP1', 'PS1DP2', 'PS2DP1', 'CS1DP1', 'unknown']) await assign(dpId);
    await run();
    assert.deepEqual(await targets(), ['PS1 0..1', 'PS2 0..1']);
    const [job] = await jobs();
    assert.match(job?.jobId ?? '', /^CS1-[0-9A-F]{8}$/);
    assert.deepEqual([job?.packageHash, job?.priority], ['hash 1', 2]);
    const messages = await status.query({ countMax: 9 });
    assert.deepEqual(
      messages.map(({ messageId }) => messageId),
      [2333, 2339, 2333, 2339],
    );
    assert.deepEqual(
      await notified(),
      (await jobs()).map(({ jobId }) => jobId),
    );
  });

  it('does the same work once, however often it runs', async () => {
    await assign('PS1DP1');
    await run();
    const before = await jobs();
    await run();
    assert.deepEqual(await jobs(), before);
  });

  it('replaces an open job when there is a newer version, by a delta where that will do', async () => {
    await assign('PS1DP1');
    await assign('PS2DP1');
    await holds('PS1', 1);
    await run();
    await publish(2);
    const [old] = await jobs();
    await run();
    assert.deepEqual((await targets()).sort(), ['PS1 1..2', 'PS2 0..2']);
    assert.equal(
      (await jobs()).some(({ jobId }) => jobId === old?.jobId),
      false,
    );
    assert.ok((await notified()).includes(old?.jobId ?? 'none'), 'the Scheduler hears of it');
  });

  it('cancels what nobody is to have any more', async () => {
    await assign('PS1DP1');
    await assign('PS2DP1');
    await run();
    await assign('PS1DP1', 'removed');
    await run();
    assert.deepEqual(await targets(), ['PS2 0..1']);
    await publish(1, { state: 'deleting' });
    await run();
    assert.deepEqual(await targets(), []);
    for await (const _ of machine.store.records(keySpaces.siteDeliveries).list()) assert.fail();
  });

  it('ends as delivered what the site says it holds before the send has ended here (REP-5)', async () => {
    for (const isNewerDue of [false, true]) {
      await assign('PS1DP1');
      await run();
      const [{ jobId, sourceVersion } = { jobId: '', sourceVersion: 0 }] = await jobs();
      await holds('PS1', sourceVersion, { changedAtMs: 7 });
      if (isNewerDue) await publish(sourceVersion + 1);
      await run();
      assert.equal(
        (await jobs()).some((job) => job.jobId === jobId),
        false,
      );
      assert.deepEqual(await targets(), isNewerDue ? ['PS1 2..3'] : []);
      const results = machine.store.records(keySpaces.siteDeliveryResults);
      const result = { jobId, outcome: 'delivered', contentChangedAtMs: 7 };
      assert.deepEqual(await results.get(joinKey(packageId, 'PS1')), result);
      if (!isNewerDue) await publish(2);
    }
  });

  it('does not call delivered what has come another way, or is wanted no more', async () => {
    await assign('PS1DP1');
    await publish(2);
    await run();
    await holds('PS1', 3);
    await run();
    await assign('PS1DP1', 'removed');
    await run();
    assert.deepEqual(await targets(), []);
    for await (const _ of machine.store.records(keySpaces.siteDeliveryResults).list())
      assert.fail();
  });

  it('sends nothing of a package of another source site', async () => {
    await publish(1, { sourceSiteCode: 'PS2' });
    await assign('PS1DP1');
    await run();
    assert.deepEqual(await targets(), []);
  });

  it('does not send again what was delivered, and sends again all of what was refused for want of it', async () => {
    await assign('PS1DP1');
    await holds('PS1', 1);
    await publish(2);
    await run();
    const [{ jobId } = { jobId: '' }] = await jobs();
    const key = joinKey(packageId, 'PS1');
    const result = { jobId, outcome: 'delivered', contentChangedAtMs: 1 } as const;
    await put(
      machine.store.records(keySpaces.miniJobs).delete(jobId),
      machine.store.records(keySpaces.siteDeliveryResults).put(key, result),
    );
    await run();
    assert.deepEqual(await targets(), []);
    await holds('PS1', 1, { state: 'refused', refusedJobId: jobId, needsFull: true });
    await run();
    assert.deepEqual(await targets(), ['PS1 0..2']);
  });

  it('sends anew what a site in between lost on its way, and not for ever', async () => {
    await assign('PS1DP1');
    for (let time = 0; time <= 2; time++) {
      await run();
      const [{ jobId } = { jobId: '' }] = await jobs();
      assert.deepEqual(await targets(), ['PS1 0..1'], `time ${time}`);
      const result = { jobId, outcome: 'delivered', contentChangedAtMs: 0 } as const;
      const failure = {
        ...{ packageId, siteCode: 'PS2', finalSiteCode: 'PS1', jobId, mayRepeat: true },
        ...{ reason: 'it has expired', failedAtMs: time },
      };
      const { store } = machine;
      await put(
        store.records(keySpaces.miniJobs).delete(jobId),
        store.records(keySpaces.siteDeliveryResults).put(joinKey(packageId, 'PS1'), result),
        store.records(keySpaces.forwardingFailures).put(joinKey(packageId, 'PS2', 'PS1'), failure),
      );
    }
    await run();
    assert.deepEqual(await targets(), []);
  });

  for (const [write, isLastWritten] of [
    [1, true],
    [1, false],
    [2, true],
    [2, false],
  ] as const) {
    const when = `at write ${write}, which is ${isLastWritten ? '' : 'not '}done`;
    it(`makes no job twice when it is killed ${when}`, async () => {
      for (const dpId of ['PS1DP1', 'PS2DP1']) await assign(dpId);
      const life = new CrashingStore(machine.store);
      life.crashAt(write, isLastWritten);
      void (await newTask(life.store)).run(packageId, never);
      await machine.until(() => life.hasCrashed, 0);
      await machine.store.settled();
      task = await newTask();
      await run();
      assert.deepEqual((await targets()).sort(), ['PS1 0..1', 'PS2 0..1']);
      const ids = (await jobs()).map(({ jobId }) => jobId);
      assert.equal(new Set(ids).size, 2);
    });
  }

  it('leaves a full disk to whoever runs it', async () => {
    await assign('PS1DP1');
    const full = new WaybillError({ code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 });
    const { store } = machine;
    const failing = {
      records: store.records.bind(store),
      onWritten: store.onWritten.bind(store),
      settled: store.settled.bind(store),
      write: async () => {
        throw full;
      },
    } as unknown as StateStore;
    task = await newTask(failing);
    await assert.rejects(run(), (error) => isErrorWithCode(error, 'DISK_FULL'));
    assert.deepEqual(await targets(), []);
  });
});
