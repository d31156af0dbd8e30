import assert from 'node:assert/strict';
import {
  type DistributionJob,
  isRunning,
  isStartable,
} from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { PullState, StateMessage } from '../../shared/domain/state-message.ts';
import { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { CrashingStore } from '../../shared/testing/crashing-store.ts';
import { SeededRandom } from '../../shared/testing/seeded-random.ts';
import { testJob } from '../../shared/testing/test-job.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { ValidationResults } from '../content-validation/validation-results.ts';
import { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { JobTable } from '../package-transfer-manager/job-table.ts';
import { PackageTransferManager } from '../package-transfer-manager/package-transfer-manager.ts';
import { testJobConfig } from '../package-transfer-manager/testing/job-ground.ts';
import { TransferPermits } from '../package-transfer-manager/transfer-permits.ts';
import { StateSystem } from '../state-system/state-system.ts';
import { StatusManager } from '../status-manager/status-manager.ts';
import { DistributionManager } from './distribution-manager.ts';
import { PackageStore } from './package-store.ts';
import { PullResponses } from './pull-responses.ts';
import { openTestMachine, type TestMachine } from './testing/test-site.ts';
import { TransferResults } from './transfer-results.ts';

const minuteMs = 60_000;
const hash = 'a'.repeat(64);
const packageIds = ['PS100001', 'PS100002', 'PS100003'];
const dpIds = ['P1', 'P2'];

/** A pull DP: what it fetches, and what it has to tell; both outlive the site's crashes. */
class PlayedDp {
  readonly dpId: string;
  readonly #jobs = new Map<number, DistributionJob>();
  readonly outbox: StateMessage[] = [];
  /** Everything it ever said: may come once more, whenever it likes. */
  readonly said: StateMessage[] = [];
  #serial = 0;
  #outboxMadeAtMs = 1;

  constructor(dpId: string) {
    this.dpId = dpId;
  }

  /** Its state store is lost, with all it has not told yet. */
  loseStore(): void {
    this.#jobs.clear();
    this.outbox.length = 0;
    this.#outboxMadeAtMs += 1;
    this.#serial = 0;
  }

  /** The site has pushed what it was fetching. */
  overtaken(job: DistributionJob): void {
    if (this.#jobs.delete(job.jobSerial)) this.#say(job, 'cancelled', 0);
  }

  notify(job: DistributionJob): void {
    if (this.#jobs.has(job.jobSerial)) return;
    this.#jobs.set(job.jobSerial, job);
    this.#say(job, 'started', 0);
  }

  /** Goes on with one of its jobs, this way. */
  act(random: SeededRandom, acts: readonly PullState[]): void {
    const jobs = [...this.#jobs.values()];
    if (jobs.length === 0) return;
    const job = random.pick(jobs);
    const state = random.pick(acts);
    if (['success', 'failure', 'cancelled'].includes(state)) this.#jobs.delete(job.jobSerial);
    this.#say(job, state, random.below(100));
  }

  get isIdle(): boolean {
    return this.#jobs.size === 0;
  }

  #say({ jobSerial, packageId }: DistributionJob, state: PullState, doneBytes: number): void {
    const error = { code: 'PULL_SOURCE_LIED', source: 'S', fileHash: 'f', reason: 'test' } as const;
    const message: StateMessage = {
      ...{ dpId: this.dpId, packageId, jobSerial, sourceVersion: 1, state, percent: doneBytes },
      place: { outboxMadeAtMs: this.#outboxMadeAtMs, serial: ++this.#serial },
      ...{ doneBytes, totalBytes: 100, receivedBytes: doneBytes, timeMs: 0 },
      packageHash: state === 'success' ? hash : '',
      source: state === 'warning' ? 'waybill://dp/S1' : '',
      ...((state === 'warning' || state === 'failure') && { error }),
    };
    this.outbox.push(message);
    this.said.push(message);
  }
}

/** One life of the site over what the machine remembers; DPs are played. */
async function live(machine: TestMachine, life: CrashingStore, dps: Map<string, PlayedDp>) {
  const { clock } = machine;
  const { logger } = machine.log;
  const { store } = life;
  const notifier = new ChangeNotifier({ store });
  const packages = new PackageStore({ store, clock });
  const contentMap = new ContentDpMap({ store, notifier, clock });
  const status = await StatusManager.open({ store, clock, siteCode: 'PS1' });
  const ground = { store, notifier, packages, contentMap, status, clock, logger };
  const hierarchy = new HierarchyManager({ ...ground, siteCode: 'PS1' });
  await hierarchy.start();
  const jobs = new JobTable(ground);
  const unknown = (job: DistributionJob) => new WaybillError({ code: 'PULL_JOB_UNKNOWN', ...job });
  const transfers = new PackageTransferManager(
    {
      ...{ ...ground, jobs, hierarchy, random: () => 1 },
      runner: {
        run: async ({ job, dp }) => {
          const { packageId, dpId } = job;
          if (dp.kind === 'standard') {
            dps.get(dpId)?.overtaken(job);
            return { kind: 'done', verifiedHash: hash };
          }
          dps.get(dpId)?.notify(job);
          const contentIds = [`${packageId}.1`];
          const version = { packageId, dpId, sourceVersion: 1, contentIds };
          const locations = () => contentMap.arriving(version);
          return { kind: 'handed-over', expectedHash: hash, toldHash: '', locations };
        },
      },
      notification: {
        query: ({ job }) => Promise.reject(unknown(job)),
        look: () => ({ of: async () => ({ sources: [], isComplete: false }) }),
        sourcesOf: async () => undefined,
        sourcesChanged: async () => undefined,
        suspend: async () => {},
      },
      permits: new TransferPermits({
        arbiter: new TransferArbiter(clock),
        transferControls: { passagesToDp: (dpId) => [`dp/${dpId}`], onChanged: () => () => {} },
      }),
      returns: { watch: () => {}, forget: () => {} },
      cancellation: {
        complete: async () => {},
        confirmedBy: async () => {},
      },
    },
    testJobConfig,
  );
  const stateSystem = new StateSystem({ ...ground, jobs });
  const distribution = new DistributionManager({
    ...{ ...ground, random: () => 1 },
    packageTask: { run: async () => 'up-to-date' },
    transferResults: new TransferResults({
      ...ground,
      validationResults: new ValidationResults({ ...ground, siteCode: 'PS1' }),
    }),
    pullResponses: new PullResponses({ ...ground, stateSystem, transfers }),
  });
  await transfers.start();
  await distribution.start();
  return { ...ground, hierarchy, jobs, transfers, stateSystem, distribution };
}

type Site = Awaited<ReturnType<typeof live>>;

class World {
  readonly machine: TestMachine;
  readonly random: SeededRandom;
  readonly dps = new Map(dpIds.map((dpId) => [dpId, new PlayedDp(dpId)]));
  #life: CrashingStore;
  #site!: Site;

  constructor(machine: TestMachine, seed: number) {
    this.machine = machine;
    this.random = new SeededRandom(seed);
    this.#life = new CrashingStore(machine.store);
  }

  async begin(): Promise<void> {
    const { store } = this.machine;
    const pull = { sources: [], allowFallback: true, packagesMax: 5 };
    for (const dpId of dpIds) {
      const point = { dpId, address: 'a:1', kind: 'pull', description: '', siteCode: 'PS1', pull };
      const row = store.records(keySpaces.distributionPoints).put(dpId, point as never);
      await store.write([row], { sync: false });
    }
    this.#site = await live(this.machine, this.#life, this.dps);
    let jobSerial = 0;
    for (const packageId of packageIds) {
      for (const dpId of dpIds) await this.#distribute(packageId, dpId, ++jobSerial);
    }
  }

  get site(): Site {
    return this.#site;
  }

  /** One thing happens; three in ten messages are lost, doubled, late or out of order. */
  async step(): Promise<void> {
    const { random } = this;
    const dp = random.pick([...this.dps.values()]);
    const what = random.below(12);
    if (what < 4) dp.act(random, ['progress', 'progress', 'warning', 'downloaded', 'failure']);
    else if (what === 4) dp.act(random, ['success', 'cancelled']);
    else if (what < 8) await this.#send(dp);
    else if (what === 8) await this.machine.clock.advance(random.below(6_000));
    else if (what === 9) dp.loseStore();
    else if (what === 10) await this.#setKind(dp, random.pick(['pull', 'pull', 'standard']));
    else this.#life.crashAt(1 + random.below(6), random.below(2) === 0);
    await this.settle();
  }

  /** Everything goes well from now on. */
  async heal(): Promise<void> {
    this.#life.spare();
    for (let round = 0; round < 60; round++) {
      for (const dp of this.dps.values()) {
        while (!dp.isIdle) dp.act(this.random, ['success']);
        for (let message = dp.outbox.shift(); message; message = dp.outbox.shift()) {
          await this.#answered(message);
        }
      }
      await this.settle();
      await this.machine.clock.advance(61 * minuteMs);
      await this.settle();
      if ([...this.#site.jobs.open()].length === 0) return;
    }
    assert.fail(`It never comes to rest: ${JSON.stringify([...this.#site.jobs.open()])}`);
  }

  /** Until nothing is to be done at this moment; a site that has crashed begins its next life. */
  async settle(): Promise<void> {
    while (!this.#life.hasCrashed && !(await this.#isQuiet())) await new Promise(setImmediate);
    if (!this.#life.hasCrashed) return;
    this.#life = new CrashingStore(this.machine.store);
    this.#site = await live(this.machine, this.#life, this.dps);
    await this.settle();
  }

  /** Whether the site has done all that it would do at this moment. */
  async #isQuiet(): Promise<boolean> {
    const { jobs, notifier } = this.#site;
    for (const topic of ['pull-response', 'distribution-job', 'transfer-result'] as const) {
      for await (const _ of notifier.pending(topic)) return false;
    }
    const nowMs = this.machine.clock.nowMs();
    return ![...jobs.open()].some(
      (job) => isRunning(job) || (isStartable(job) && job.restartAtMs <= nowMs),
    );
  }

  async end(): Promise<void> {
    await this.#site.transfers.stop();
    await this.#site.distribution.stop();
    this.#life.crash();
  }

  async #send(dp: PlayedDp): Promise<void> {
    const { random } = this;
    if (random.below(10) < 3 && dp.said.length > 0) await this.#answered(random.pick(dp.said));
    const at = random.below(10) < 3 ? random.below(dp.outbox.length + 1) : 0;
    const message = dp.outbox[at];
    if (!message) return;
    const isAnswered = await this.#answered(message);
    const isAnswerLost = random.below(10) < 3;
    if (isAnswered && !isAnswerLost) dp.outbox.splice(dp.outbox.indexOf(message), 1);
  }

  /** @returns whether the site answered before it crashed */
  async #answered(message: StateMessage): Promise<boolean> {
    const { jobs, stateSystem } = this.#site;
    const job = jobs.get(message.jobSerial);
    // As the management point does: of a job that has ended nothing more is news.
    if (!job) return true;
    let isAnswered = false;
    void stateSystem.apply(message).then(() => {
      isAnswered = true;
    });
    while (!isAnswered && !this.#life.hasCrashed) await new Promise(setImmediate);
    return isAnswered;
  }

  /** Done, or cut off by a crash. */
  async #setKind({ dpId }: PlayedDp, kind: 'pull' | 'standard'): Promise<void> {
    let isSet = false;
    void this.#site.hierarchy.set({ dpId, kind }).then(() => {
      isSet = true;
    });
    while (!isSet && !this.#life.hasCrashed) await new Promise(setImmediate);
  }

  async #distribute(packageId: string, dpId: string, jobSerial: number): Promise<void> {
    const { store, clock } = this.machine;
    const { notifier, packages } = this.#site;
    const key = joinKey(jobSerial);
    const content = { contentId: `${packageId}.1` };
    const sitePackage = {
      ...{ packageId, sourceVersion: 1, packageHash: hash, properties: { priority: 2 } },
      sources: [{ directory: '/s', contentName: packageId, content }],
    } as unknown as SitePackage;
    const changedAtMs = clock.nowMs();
    await store.write(
      [
        packages.packages.put(packageId, sitePackage),
        packages.putServer({ packageId, dpId, intent: 'installed', action: 'none', changedAtMs }),
        packages.putStatus({
          ...{ packageId, dpId, state: 'install-pending', installedVersion: 0, targetVersion: 1 },
          ...{ reason: '', changedAtMs, jobSerial, verifiedHash: '' },
        }),
        store.records(keySpaces.distributionJobs).put(key, testJob({ jobSerial, packageId, dpId })),
        notifier.notification('distribution-job', key),
      ],
      { sync: false },
    );
  }
}

async function check({ machine, site }: World): Promise<void> {
  const { store } = machine;
  for (const packageId of packageIds) {
    const locations = await site.contentMap.locationsOf(`${packageId}.1`);
    for (const dpId of dpIds) {
      const status = await site.packages.getStatus(packageId, dpId);
      assert.deepEqual([status?.state, status?.verifiedHash], ['installed', hash]);
      assert.equal(locations.get(dpId)?.state, 'held');
    }
  }
  for (const space of [keySpaces.pullDpResponse, keySpaces.distributionJobs]) {
    for await (const [key] of store.records<unknown>(space).list()) assert.fail(`${key} is left`);
  }
  for await (const [key] of store.records(keySpaces.packageNotifications).list()) {
    if (!key.startsWith('content-location')) assert.fail(`${key} is pending`);
  }
  const told = new Map<string, number>();
  for await (const [, message] of store.records(keySpaces.statusMessages).list()) {
    const key = `${message.messageId} ${message.packageId} ${message.dpId}`;
    told.set(key, (told.get(key) ?? 0) + 1);
  }
  for (const [key, count] of told) {
    if (/^(2330|8200|8210|9003|8204)/.test(key)) assert.equal(count, 1, key);
  }
  let endedCount = 0;
  for await (const [, job] of store.records(keySpaces.jobHistory).list()) {
    endedCount += 1;
    assert.equal(job.state, 'complete');
  }
  assert.equal(endedCount, packageIds.length * dpIds.length);
}

describe('What pull DPs say, whatever happens to it', () => {
  it('ends in what is true, each job once (PULL-8, PULL-9, DM-1)', async () => {
    for (let seed = 1; seed <= 12; seed++) {
      await using machine = await openTestMachine();
      const world = new World(machine, seed);
      await world.begin();
      try {
        for (let step = 0; step < 80; step++) await world.step();
        await world.heal();
        await check(world);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      } finally {
        await world.end();
      }
    }
  }).timeout(60_000);
});
