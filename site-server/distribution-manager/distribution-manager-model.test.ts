import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { CrashingStore } from '../../shared/testing/crashing-store.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
  testProperties,
} from './testing/test-site.ts';

const dpIds = ['DP1', 'DP2', 'DP3'] as const;
const packageCountMax = 3;

type Command =
  | { kind: 'create' }
  | { kind: 'update'; at: number; isChanged: boolean }
  | { kind: 'refuse'; at: number }
  | { kind: 'distribute' | 'redistribute' | 'remove'; at: number; dp: number }
  | { kind: 'delete'; at: number }
  | { kind: 'end-job'; at: number; isComplete: boolean }
  | { kind: 'retry-failed' }
  | { kind: 'replace-dp'; dp: number }
  | { kind: 'settle' }
  | { kind: 'crash'; writes: number; isLastWritten: boolean };

const at = fc.nat({ max: 9 });
const dp = fc.nat({ max: dpIds.length - 1 });
const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant('create' as const) }),
  fc.record({ kind: fc.constant('update' as const), at, isChanged: fc.boolean() }),
  fc.record({ kind: fc.constant('refuse' as const), at }),
  fc.record({
    kind: fc.constantFrom('distribute' as const, 'redistribute' as const, 'remove' as const),
    at,
    dp,
  }),
  fc.record({ kind: fc.constant('distribute' as const), at, dp }),
  fc.record({ kind: fc.constant('delete' as const), at }),
  fc.record({ kind: fc.constant('end-job' as const), at, isComplete: fc.boolean() }),
  fc.record({ kind: fc.constant('retry-failed' as const) }),
  fc.record({ kind: fc.constant('replace-dp' as const), dp }),
  fc.record({ kind: fc.constant('settle' as const) }),
  fc.record({
    kind: fc.constant('crash' as const),
    writes: fc.integer({ min: 1, max: 6 }),
    isLastWritten: fc.boolean(),
  }),
);

/** A site, the DPs around it, and what an administrator has last wished. */
class World {
  readonly machine: TestMachine;
  #life: CrashingStore;
  #site: TestSite;
  /** packageId → the DPs that are to have it. */
  readonly #wishes = new Map<string, Set<string>>();
  readonly #deleted = new Set<string>();
  /** `packageId/dpId` → the version the DP serves. */
  readonly #held = new Map<string, number>();
  /** `packageId/dpId` → the newest job the DP has heard of; it refuses older ones. */
  readonly #newestJobs = new Map<string, number>();
  #sourceCount = 0;

  private constructor(machine: TestMachine, life: CrashingStore, site: TestSite) {
    this.machine = machine;
    this.#life = life;
    this.#site = site;
  }

  static async open(): Promise<World> {
    const machine = await openTestMachine();
    const life = new CrashingStore(machine.store);
    const site = await TestSite.start(machine, { life });
    for (const dpId of dpIds) await site.addDistributionPoint(dpId);
    return new World(machine, life, site);
  }

  async close(): Promise<void> {
    this.#life.crash();
    await this.machine[Symbol.asyncDispose]();
  }

  async run(step: Command): Promise<void> {
    const { packageCommands, distributionCommands, hierarchy } = this.#site;
    switch (step.kind) {
      case 'create':
        if (this.#wishes.size + this.#deleted.size < packageCountMax) await this.#create();
        return;
      case 'update':
        return this.#withPackage(step.at, async (packageId) => {
          this.machine.sources.directories.set(
            await this.#directoryOf(packageId),
            step.isChanged ? `bytes ${++this.#sourceCount}` : 'the same bytes',
          );
          await packageCommands.update(packageId);
        });
      case 'refuse':
        return this.#withPackage(step.at, async (packageId) => {
          const path = await this.#directoryOf(packageId);
          const refusal = new WaybillError({ code: 'SOURCE_EMPTY', path });
          this.machine.sources.directories.set(path, refusal);
          await packageCommands.update(packageId);
        });
      case 'distribute':
        return this.#withPackage(step.at, async (packageId, wish) => {
          const dpId = dpIds[step.dp] ?? 'DP1';
          await distributionCommands.distribute({ packageId, dpIds: [dpId] });
          wish.add(dpId);
        });
      case 'redistribute':
        return this.#withPackage(step.at, async (packageId) => {
          await distributionCommands.redistribute({ packageId, dpIds: 'all' });
        });
      case 'remove':
        return this.#withPackage(step.at, async (packageId, wish) => {
          const dpId = dpIds[step.dp] ?? 'DP1';
          await distributionCommands.remove({ packageId, dpIds: [dpId] });
          wish.delete(dpId);
        });
      case 'delete':
        return this.#withPackage(step.at, async (packageId) => {
          await packageCommands.delete(packageId);
          this.#wishes.delete(packageId);
          this.#deleted.add(packageId);
        });
      case 'end-job': {
        const jobs = await this.#site.openJobs();
        const job = jobs[step.at % Math.max(1, jobs.length)];
        if (job) await this.#endJob(job, step.isComplete);
        return;
      }
      case 'retry-failed':
        await this.#retryFailed();
        return;
      case 'replace-dp': {
        const dpId = dpIds[step.dp] ?? 'DP1';
        await hierarchy.delete(dpId, { deletedBy: 'waybill://admin/full/alice' });
        for (const wish of this.#wishes.values()) wish.delete(dpId);
        await this.#settle();
        await this.#endJobsOfNobody();
        await this.#site.addDistributionPoint(dpId);
        return;
      }
      case 'settle':
        return this.#settle();
      case 'crash':
        this.#life.crashAt(step.writes, step.isLastWritten);
        await this.#settle();
        this.#life.spare();
        return;
    }
  }

  /** Everything mends: sources can be read, jobs succeed, what failed is tried again. */
  async heal(): Promise<void> {
    for (const packageId of this.#wishes.keys()) {
      this.machine.sources.directories.set(await this.#directoryOf(packageId), 'healed');
    }
    for (let round = 0; round < 20; round++) {
      await this.#settle();
      for (const job of await this.#site.openJobs()) await this.#endJob(job, true);
      await this.#settle();
      const retried = await this.#retryFailed();
      await this.#settle();
      if (retried.length === 0 && (await this.#site.openJobs()).length === 0) return;
    }
    assert.fail('It never comes to rest');
  }

  async check(): Promise<void> {
    const { packages } = this.#site;
    assert.equal(await this.#site.pendingCount(), 0, 'nothing is pending');
    for (const packageId of this.#deleted) {
      assert.equal(await packages.packages.get(packageId), undefined, 'deleted');
      assert.equal(this.machine.sources.packages.has(packageId), false);
    }
    for await (const [key, server] of packages.servers.list()) {
      assert.ok(this.#wishes.get(server.packageId)?.has(server.dpId), `${key} is wished for`);
      assert.equal(server.action, 'none');
    }
    for await (const [key, status] of packages.statuses.list()) {
      const isOnSite = status.dpId === '' && this.#wishes.has(status.packageId);
      const isWished = this.#wishes.get(status.packageId)?.has(status.dpId);
      assert.ok(isOnSite || isWished, `${key} is wished for`);
    }
    for (const [packageId, wish] of this.#wishes) await this.#checkPackage(packageId, wish);
  }

  async #checkPackage(packageId: string, wish: ReadonlySet<string>): Promise<void> {
    const { packages } = this.#site;
    const row = await packages.require(packageId);
    assert.equal(row.handledRequestCount, row.acceptedRequestCount);
    assert.equal(row.state, 'published');
    const version = this.machine.sources.packages.get(packageId);
    assert.equal(version?.sourceVersion, row.sourceVersion);
    assert.equal(version.packageHash, row.packageHash);
    for (const dpId of dpIds) {
      const status = await packages.getStatus(packageId, dpId);
      assert.equal(status?.state, wish.has(dpId) ? 'installed' : undefined, `${packageId}/${dpId}`);
      assert.equal(this.#held.get(`${packageId}/${dpId}`), status?.installedVersion);
      if (!status) continue;
      assert.equal(status.installedVersion, row.sourceVersion);
      assert.equal(status.verifiedHash, row.packageHash);
    }
  }

  async #create(): Promise<void> {
    const directory = `/source${this.#wishes.size + this.#deleted.size}`;
    this.machine.sources.directories.set(directory, 'the same bytes');
    const created = await this.#site.packageCommands.create(testProperties, [directory]);
    assert.ok(!this.#wishes.has(created.packageId) && !this.#deleted.has(created.packageId));
    this.#wishes.set(created.packageId, new Set());
  }

  async #withPackage(
    index: number,
    act: (packageId: string, wish: Set<string>) => Promise<void>,
  ): Promise<void> {
    const all = [...this.#wishes];
    const chosen = all[index % Math.max(1, all.length)];
    if (chosen) await act(...chosen);
  }

  async #directoryOf(packageId: string): Promise<string> {
    const { sources } = await this.#site.packages.require(packageId);
    return sources[0]?.directory ?? assert.fail();
  }

  async #retryFailed(): Promise<string[]> {
    const all = { packageId: undefined, dpId: undefined, failedOnly: false };
    const { dpIds } = await this.#site.distributionCommands.retryFailed(all);
    return dpIds;
  }

  /** What Package Transfer Manager and the DP do, whichever job is first. */
  async #endJob(job: DistributionJob, isComplete: boolean): Promise<void> {
    const open = await this.#site.openJobs();
    const isSuperseded = open.some(
      ({ packageId, dpId, jobSerial }) =>
        packageId === job.packageId && dpId === job.dpId && jobSerial > job.jobSerial,
    );
    const server = await this.#site.packages.getServer(job.packageId, job.dpId);
    const key = `${job.packageId}/${job.dpId}`;
    // The DP may have finished an older job before it heard of the newer one.
    const isRefused = job.jobSerial < (this.#newestJobs.get(key) ?? 0);
    const isCancelled = isRefused || (isSuperseded && !isComplete);
    if (isCancelled || !server) return this.#site.endJob(job, { state: 'cancelled' });
    this.#newestJobs.set(key, job.jobSerial);
    if (!isComplete) return this.#site.endJob(job, { state: 'failed', reason: 'a test' });
    if (job.action === 'remove') this.#held.delete(key);
    else {
      const held = this.#held.get(key) ?? 0;
      assert.ok(job.sourceVersion >= held, 'a DP never goes back');
      this.#held.set(key, job.sourceVersion);
    }
    await this.#site.endJob(job, { state: 'complete' });
  }

  /** A DP that is gone takes what it held with it, and its jobs are cancelled. */
  async #endJobsOfNobody(): Promise<void> {
    const { hierarchy } = this.#site;
    for (const job of await this.#site.openJobs()) {
      if (!(await hierarchy.get(job.dpId))) await this.#site.endJob(job, { state: 'cancelled' });
    }
    for (const key of this.#held.keys()) {
      if (!(await hierarchy.get(key.split('/')[1] ?? ''))) this.#held.delete(key);
    }
    await this.#settle();
  }

  /** The status of a package on a DP tells of the newest job there, while that is open. */
  async #checkOpenJobs(): Promise<void> {
    const newest = new Map<string, DistributionJob>();
    for (const job of await this.#site.openJobs()) newest.set(`${job.packageId}/${job.dpId}`, job);
    for (const job of newest.values()) {
      const { packages } = this.#site;
      if (!(await packages.getServer(job.packageId, job.dpId))) continue;
      const status = await packages.getStatus(job.packageId, job.dpId);
      assert.ok(status && status.jobSerial >= job.jobSerial);
      if (status.jobSerial > job.jobSerial) continue;
      const open =
        job.action === 'remove' ? /^removal-pending$/ : /^(install-pending|content-updating)$/;
      assert.match(status.state, open);
    }
  }

  async #settle(): Promise<void> {
    const site = this.#site;
    await site.until(async () => this.#life.hasCrashed || (await site.pendingCount()) === 0);
    if (!this.#life.hasCrashed) return this.#checkOpenJobs();
    for (const directory of this.machine.sources.directories.keys()) {
      // While the site was down, its sources changed.
      this.machine.sources.directories.set(directory, `bytes ${++this.#sourceCount}`);
    }
    this.#life = new CrashingStore(this.machine.store);
    this.#site = await TestSite.start(this.machine, { life: this.#life });
    await this.#settle();
  }
}

describe('Distribution Manager, whatever happens', () => {
  it('ends with what was last wished for, no job lost or doubled (DM-1, DM-2, DM-5)', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
        const world = await World.open();
        try {
          await world.run({ kind: 'create' });
          for (const step of commands) await world.run(step);
          await world.heal();
          await world.check();
          await checkJobs(world.machine);
        } finally {
          await world.close();
        }
      }),
      { numRuns: 25 },
    );
  });
});

/** Every serial that was given out is a job that ended once, or was never written. */
async function checkJobs(machine: TestMachine): Promise<void> {
  let lastSerial = 0;
  for await (const [, job] of machine.store.records(keySpaces.jobHistory).list()) {
    assert.ok(job.jobSerial > lastSerial);
    lastSerial = job.jobSerial;
  }
  const counters = machine.store.records(keySpaces.counters);
  assert.ok(lastSerial <= ((await counters.get('job-serials')) ?? 0));
}
