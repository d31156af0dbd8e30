import assert from 'node:assert/strict';
import { toAwaitedContent } from '../../../shared/domain/hierarchy-package-work.ts';
import { sourceSiteOf } from '../../../shared/domain/package.ts';
import type { NotificationTopic } from '../../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../../shared/state-store/state-store.ts';
import { CrashingStore } from '../../../shared/testing/crashing-store.ts';
import type { OwnSite } from '../../hierarchy-manager/site-directory.ts';
import { HybridClock } from '../../replication-manager/hybrid-clock.ts';
import { rowIdOf, rowOfChange } from '../../replication-manager/replicated-rows.ts';
import { openTestMachine, type TestMachine, TestSite } from './test-site.ts';

/** One of the sites of a test. */
export interface HierarchySite {
  readonly own: OwnSite;
  readonly machine: TestMachine;
  /** What it has said, and heard, of time: survives a crash. */
  readonly said: HybridClock;
  /** What the site of now works through, until it crashes. */
  life: CrashingStore;
  site: TestSite;
  /** Writes what another site has sent. */
  readonly apply: (changes: readonly Change[]) => Promise<void>;
}

/** A row of a replicated table as it was written last, anywhere. */
interface Written {
  readonly from: string;
  /** A later one wins. */
  readonly at: number;
  readonly change: Change;
}

/** How a replicated table is called where its rows come to, and whom they wake there. */
interface Replicated {
  readonly space: string;
  readonly key: string;
  readonly topic: NotificationTopic;
  readonly subject: string;
}

/** All that wakes what is tested here, in the order in which one leads to the other. */
const topics: readonly NotificationTopic[] = [
  'hierarchy-distribution-point',
  'distribution-point-added',
  'distribution-point-group',
  'hierarchy-package',
  'site-content',
  'site-package-status',
  'transfer-result',
  'package',
  'hierarchy-distribution-point',
  'distribution-point-added',
  'hierarchy-package',
  'site-content',
  'site-package-status',
];

/** A top site without DPs, and two below it with some of their own. */
const threeSites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent: { siteCode: 'CS1', address: 'CS1:8530' } },
  { siteCode: 'PS2', kind: 'primary', parent: { siteCode: 'CS1', address: 'CS1:8530' } },
];

/** Sites without network: rows and content travel when a test says so. */
export class TestHierarchy implements AsyncDisposable {
  readonly sites = new Map<string, HierarchySite>();
  /** `space/key` → the newest change of that row. */
  readonly #written = new Map<string, Written>();
  /** `site/space/key` → the change that stands there. */
  readonly #applied = new Map<string, number>();
  #at = 0;

  static async open(all: readonly OwnSite[]): Promise<TestHierarchy> {
    const hierarchy = new TestHierarchy();
    for (const own of all) await hierarchy.#add(own);
    const top = all[0]?.siteCode ?? '';
    for (const { siteCode, kind, parent } of all) {
      const parentSiteCode = parent?.siteCode ?? '';
      const address = `${siteCode}:8530`;
      const site = { siteCode, kind, parentSiteCode, address, description: '' };
      const { store } = hierarchy.of(top).machine;
      await store.write([store.records(keySpaces.sites).put(siteCode, site)], { sync: false });
    }
    await hierarchy.replicateAll();
    return hierarchy;
  }

  /** The top site CS1, and PS1 with PS1DP1 and PS1DP2 and PS2 with PS2DP1 below it. */
  static async openThree(): Promise<TestHierarchy> {
    const hierarchy = await TestHierarchy.open(threeSites);
    for (const dpId of ['PS1DP1', 'PS1DP2', 'PS2DP1']) {
      await hierarchy.of(dpId.slice(0, 3)).site.addDistributionPoint(dpId);
    }
    return hierarchy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { life, machine, site } of this.sites.values()) {
      // One that has crashed does nothing any more; one that lives must not outlive its disk.
      if (!life.hasCrashed) await site[Symbol.asyncDispose]();
      life.crash();
      await machine[Symbol.asyncDispose]();
    }
  }

  of(siteCode: string): HierarchySite {
    const site = this.sites.get(siteCode);
    if (!site) throw new Error(`No site ${siteCode}`);
    return site;
  }

  /** A package of a site, of which all others know. @returns its ID */
  async createAt(siteCode: string): Promise<string> {
    const packageId = await this.of(siteCode).site.createPackage('v1');
    await this.rest();
    return packageId;
  }

  /** What one site knows goes to another. */
  async replicate(from: string, to: string): Promise<void> {
    const { apply, site } = this.of(to);
    const changes: Change[] = [];
    for (const [name, written] of this.#written) {
      if (from !== to && (this.#applied.get(`${from}/${name}`) ?? 0) < written.at) continue;
      if ((this.#applied.get(`${to}/${name}`) ?? 0) >= written.at) continue;
      const target = replicatedAs(written.change, written.from);
      if (!target) continue;
      this.#applied.set(`${to}/${name}`, written.at);
      const { space, key, topic, subject } = target;
      const { change } = written;
      changes.push(
        change.type === 'put'
          ? { type: 'put', space, key, value: change.value }
          : { type: 'delete', space, key },
        site.notifier.notification(topic, subject),
      );
    }
    this.of(to).said.receive(this.of(from).said.latest);
    if (changes.length === 0) return;
    await apply(changes);
  }

  async replicateAll(): Promise<void> {
    const codes = [...this.sites.keys()];
    for (const from of codes) for (const to of codes) await this.replicate(from, to);
  }

  /** Each site has seen to everything it knows. */
  async settled(): Promise<void> {
    for (const one of this.sites.values()) await this.#settled(one);
  }

  /** One that crashes meanwhile starts again over what its disk holds. */
  async #settled(one: HierarchySite): Promise<void> {
    const { site, life } = one;
    const isIdle = async () => (await site.pendingCount(topics)) === 0;
    await site.until(async () => life.hasCrashed || (await isIdle()));
    if (!life.hasCrashed) return;
    await begin(one);
    await this.#settled(one);
  }

  /** Ends the program of a site and starts it again; what others have sent meanwhile is taken after that. */
  async restart(siteCode: string, meanwhile: () => Promise<void> = async () => {}): Promise<void> {
    const one = this.of(siteCode);
    await one.site[Symbol.asyncDispose]();
    one.life.crash();
    await meanwhile();
    await begin(one);
  }

  /** Brings to each site what its DPs are to have, as Sender and Despooler would. @returns how many */
  async sendContent(): Promise<number> {
    let count = 0;
    for (const source of this.sites.values()) {
      const { packages, hierarchyPackages } = source.site;
      for await (const [packageId, row] of packages.packages.list()) {
        if (!hierarchyPackages.isOwn(packageId) || row.sourceVersion === 0) continue;
        const wishes = await hierarchyPackages.assignmentsOf(packageId);
        const wanting = wishes.filter(({ intent }) => intent === 'installed');
        for (const to of new Set(wanting.map(({ siteCode }) => siteCode))) {
          const said = await hierarchyPackages.contents.get(joinKey(packageId, to));
          const isHeld = said?.storedHash === row.packageHash && !said.needsFull;
          if (to === source.own.siteCode || isHeld) continue;
          count += await this.#arrive(source, { packageId, to });
        }
      }
    }
    return count;
  }

  /** Rows travel, content travels, jobs succeed, until nothing changes any more. */
  async rest(): Promise<void> {
    for (let round = 0; round < 40; round++) {
      await this.settled();
      const before = this.#at;
      await this.replicateAll();
      await this.settled();
      const sent = await this.sendContent();
      await this.settled();
      const ended = await this.#endJobs();
      await this.settled();
      if (sent + ended === 0 && this.#at === before) return;
    }
    throw new Error('It never comes to rest');
  }

  /** Every change of this subject is told at each site once more. */
  async tellAgain(packageId: string): Promise<void> {
    for (const { site, machine } of this.sites.values()) {
      const again = site.notifier.notification('hierarchy-package', packageId);
      await machine.store.write([again], { sync: false });
    }
  }

  async #endJobs(): Promise<number> {
    let count = 0;
    for (const { site } of this.sites.values()) {
      for (const job of await site.openJobs()) {
        const server = await site.packages.getServer(job.packageId, job.dpId);
        await site.endJob(job, { state: server ? 'complete' : 'cancelled' });
        await this.settled();
        count++;
      }
    }
    return count;
  }

  async #arrive(
    source: HierarchySite,
    { packageId, to }: { packageId: string; to: string },
  ): Promise<number> {
    const version = source.machine.sources.packages.get(packageId);
    const { site, machine } = this.of(to);
    const held = machine.sources.packages.get(packageId);
    const isDamaged = (await site.hierarchyPackages.ownContent(packageId))?.needsFull ?? false;
    const isHeld = (held?.sourceVersion ?? 0) >= (version?.sourceVersion ?? 0) && !isDamaged;
    if (!version || isHeld) return 0;
    // It waits for what the package is.
    if (!(await site.packages.packages.get(packageId))) return 0;
    machine.sources.packages.set(packageId, version);
    const nothing = toAwaitedContent({ packageId, siteCode: to }, 0);
    const said = (await site.hierarchyPackages.ownContent(packageId)) ?? nothing;
    const { sourceVersion, packageHash } = version;
    const stored = {
      state: 'stored',
      storedVersion: sourceVersion,
      storedHash: packageHash,
    } as const;
    const whole = { ...said, ...stored, needsFull: false, reason: '' };
    const row = site.hierarchyPackages.putOwnContent(whole);
    const wake = site.notifier.notification('package', packageId);
    await machine.store.write([row, wake], { sync: false });
    return 1;
  }

  async #add(own: OwnSite): Promise<void> {
    const machine = await openTestMachine();
    const { write } = machine.store;
    let isStarted = false;
    machine.store.write = async (changes, options) => {
      if (!isStarted) return write.call(machine.store, changes, options);
      const { notifier } = this.of(own.siteCode).site;
      const woken = this.#capture(own.siteCode, changes).map(({ topic, subject }) => {
        return notifier.notification(topic, subject);
      });
      const versions = versionsOf(machine.store, own.siteCode, changes);
      await write.call(machine.store, [...changes, ...versions, ...woken], options);
    };
    const life = new CrashingStore(machine.store);
    const said = new HybridClock({ clock: machine.clock, siteCode: own.siteCode });
    const site = await TestSite.start(machine, { own, life, said });
    const apply = (changes: readonly Change[]) => {
      const versions = versionsOf(machine.store, own.siteCode, changes);
      return write.call(machine.store, [...changes, ...versions], { sync: false });
    };
    this.sites.set(own.siteCode, { own, machine, said, life, site, apply });
    isStarted = true;
  }

  #capture(siteCode: string, changes: readonly Change[]): Replicated[] {
    const woken: Replicated[] = [];
    for (const change of changes) {
      const target = replicatedAs(change, siteCode);
      if (!target) continue;
      const at = ++this.#at;
      const name = `${target.space}/${target.key}`;
      this.#written.set(name, { from: siteCode, at, change });
      this.#applied.set(`${siteCode}/${name}`, at);
      // What a site keeps of its own is read by nobody there.
      if (target.space === change.space) woken.push(target);
    }
    return woken;
  }
}

async function begin(one: HierarchySite): Promise<void> {
  one.life = new CrashingStore(one.machine.store);
  one.site = await TestSite.start(one.machine, { own: one.own, life: one.life, said: one.said });
}

/** That a row was written here, or deleted, as change capture remembers it. */
function versionsOf(store: StateStore, siteCode: string, changes: readonly Change[]): Change[] {
  return changes.flatMap((change) => {
    const name = rowOfChange(change, siteCode);
    if (!name) return [];
    const version = { changedAt: { wallMs: 0, counter: 0, siteCode }, sequence: 0 };
    const isDeleted = change.type === 'delete';
    return [store.records(keySpaces.rowVersions).put(rowIdOf(name), { ...version, isDeleted })];
  });
}

function replicatedAs(change: Change, siteCode: string): Replicated | undefined {
  const { space, key } = change;
  const [first = '', second = ''] = key.split('/');
  const ofPackage = (as: string, topic: NotificationTopic, asKey = key) => {
    return { space: as, key: asKey, topic, subject: first };
  };
  switch (space) {
    case keySpaces.sites.name:
    case keySpaces.componentSettings.name:
      return { space, key, topic: 'site', subject: first };
    case keySpaces.hierarchyDistributionPoints.name:
      return { space, key, topic: 'hierarchy-distribution-point', subject: first };
    case keySpaces.packageDefinitions.name:
    case keySpaces.packageRequests.name:
    case keySpaces.packageAssignments.name:
    case keySpaces.groupAssignments.name:
    case keySpaces.groupWishes.name:
      return ofPackage(space, 'hierarchy-package');
    case keySpaces.distributionPointGroups.name:
    case keySpaces.groupMembers.name:
      return { space, key, topic: 'distribution-point-group', subject: first };
    case keySpaces.siteContents.name:
      return ofPackage(space, 'site-content');
    case keySpaces.packages.name:
      if (sourceSiteOf(first) !== siteCode) return undefined;
      return ofPackage(keySpaces.publishedPackages.name, 'hierarchy-package');
    case keySpaces.packageStatus.name: {
      const statusKey = joinKey(first, siteCode, second);
      return ofPackage(keySpaces.sitePackageStatus.name, 'site-package-status', statusKey);
    }
    default:
      return undefined;
  }
}

/** Nothing of the package is left at any site. */
export async function assertNothingOf(hierarchy: TestHierarchy, packageId: string): Promise<void> {
  const spaces = [
    keySpaces.packages,
    keySpaces.packageServers,
    keySpaces.packageStatus,
    keySpaces.packageDefinitions,
    keySpaces.packageRequests,
    keySpaces.packageAssignments,
    keySpaces.groupAssignments,
    keySpaces.groupWishes,
    keySpaces.publishedPackages,
    keySpaces.siteContents,
    keySpaces.sitePackageStatus,
  ];
  for (const [siteCode, { machine }] of hierarchy.sites) {
    assert.equal(machine.sources.packages.has(packageId), false, `library of ${siteCode}`);
    for (const space of spaces) {
      for await (const [key] of machine.store.records<unknown>(space).list({ prefix: packageId })) {
        assert.fail(`${space.name} ${key} is left at ${siteCode}`);
      }
    }
  }
}
