import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { DistributionPointCommands } from '../admin-service/distribution-point-commands.ts';
import type { OwnSite } from '../hierarchy-manager/site-directory.ts';
import { assertNothingOf, type HierarchySite, TestHierarchy } from './testing/test-hierarchy.ts';
import { testProperties } from './testing/test-site.ts';

const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const sites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent },
  { siteCode: 'PS2', kind: 'primary', parent },
];
const codes = sites.map(({ siteCode }) => siteCode);
const dpIds = ['PS1DP1', 'PS1DP2', 'PS2DP1'] as const;
const packageCountMax = 3;

type DpStep = { kind: 'add-dp' | 'delete-dp'; at: number; dp: number };
type Step =
  | { kind: 'create'; at: number }
  | { kind: 'settle' }
  | { kind: 'distribute' | 'redistribute' | 'remove'; at: number; of: number; dp: number }
  | { kind: 'update' | 'rename' | 'delete' | 'retry'; at: number; of: number }
  | { kind: 'replicate'; from: number; to: number }
  | { kind: 'send-content' }
  | { kind: 'fail-jobs' }
  | DpStep
  | { kind: 'restart'; at: number }
  | { kind: 'crash'; at: number; writes: number; isLastWritten: boolean };

const at = fc.nat({ max: codes.length - 1 });
const of = fc.nat({ max: packageCountMax - 1 });
const dp = fc.nat({ max: dpIds.length - 1 });
const wishes = ['distribute', 'distribute', 'redistribute', 'remove'] as const;
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('create' as const), at }),
  fc.record({ kind: fc.constant('settle' as const) }),
  fc.record({ kind: fc.constantFrom(...wishes), at, of, dp }),
  fc.record({ kind: fc.constantFrom(...wishes), at, of, dp }),
  fc.record({ kind: fc.constantFrom('update' as const, 'rename', 'retry'), at, of }),
  fc.record({ kind: fc.constant('delete' as const), at, of }),
  fc.record({ kind: fc.constant('replicate' as const), from: at, to: at }),
  fc.record({ kind: fc.constant('replicate' as const), from: at, to: at }),
  fc.record({ kind: fc.constant('send-content' as const) }),
  fc.record({ kind: fc.constant('fail-jobs' as const) }),
  fc.record({ kind: fc.constantFrom('add-dp' as const, 'delete-dp'), at, dp }),
  fc.record({ kind: fc.constant('restart' as const), at }),
  fc.record({
    kind: fc.constant('crash' as const),
    at,
    writes: fc.integer({ min: 1, max: 5 }),
    isLastWritten: fc.boolean(),
  }),
);

/** What a site may refuse of what a random administrator asks. */
const refusals = [
  'PACKAGE_UNKNOWN',
  'PACKAGE_STATE_CONFLICT',
  'REQUEST_INVALID',
  'DISTRIBUTION_POINT_EXISTS',
  'DISTRIBUTION_POINT_UNKNOWN',
] as const;

class World {
  readonly hierarchy: TestHierarchy;
  readonly #packageIds: string[] = [];
  readonly #deleted = new Set<string>();
  /** As was said last. */
  readonly #points = new Set<string>(dpIds);
  #sourceCount = 0;

  constructor(hierarchy: TestHierarchy) {
    this.hierarchy = hierarchy;
  }

  async run(one: Step): Promise<void> {
    try {
      await this.#run(one);
    } catch (error) {
      if (!refusals.some((code) => isErrorWithCode(error, code))) throw error;
    }
  }

  /** Everything has reached everybody: all sites say the same, and do what was wished last. */
  async check(): Promise<void> {
    await this.#heal();
    for (const packageId of this.#packageIds) {
      if (this.#deleted.has(packageId)) await assertNothingOf(this.hierarchy, packageId);
      else await this.#checkPackage(packageId);
    }
    const before = await this.#everything();
    for (const packageId of this.#packageIds) await this.hierarchy.tellAgain(packageId);
    await this.hierarchy.rest();
    assert.deepEqual(await this.#everything(), before, 'told again, it changes nothing');
  }

  async #run(one: Step): Promise<void> {
    if (one.kind === 'send-content') {
      await this.hierarchy.sendContent();
      return;
    }
    if (one.kind === 'fail-jobs') return this.#failJobs();
    if (one.kind === 'replicate') return this.hierarchy.replicate(codeOf(one.from), codeOf(one.to));
    if (one.kind === 'settle') return this.hierarchy.settled();
    if (one.kind === 'crash') return this.#crash(one);
    if (one.kind === 'restart') return this.#restart(codeOf(one.at));
    if (isDpStep(one)) return this.#changeDp(one);
    const { site } = this.hierarchy.of(codeOf(one.at));
    if (one.kind === 'create') return this.#create(one.at);
    const packageId = this.#packageIds[one.of % Math.max(1, this.#packageIds.length)];
    if (packageId === undefined) return;
    const { packageCommands, distributionCommands } = site;
    switch (one.kind) {
      case 'distribute':
      case 'redistribute':
      case 'remove':
        await distributionCommands[one.kind]({ packageId, dpIds: [dpIds[one.dp] ?? 'PS1DP1'] });
        return;
      case 'update':
        this.#changeSource(packageId);
        await packageCommands.update(packageId);
        return;
      case 'rename': {
        const name = `Name ${++this.#sourceCount}`;
        await packageCommands.set(packageId, (properties) => ({ ...properties, name }), []);
        return;
      }
      case 'delete':
        await this.#atOwner(one.at, packageId).packageCommands.delete(packageId);
        this.#deleted.add(packageId);
        return;
      case 'retry':
        await distributionCommands.retryFailed({ packageId, dpId: undefined, failedOnly: true });
    }
  }

  async #create(index: number): Promise<void> {
    if (this.#packageIds.length >= packageCountMax) return;
    const { machine, site } = this.hierarchy.of(codeOf(index));
    const directory = `/source${this.#packageIds.length}`;
    machine.sources.directories.set(directory, `bytes ${++this.#sourceCount}`);
    const { packageId } = await site.packageCommands.create(testProperties, [directory]);
    this.#packageIds.push(packageId);
  }

  /** While it acts on what others say. */
  async #crash({ at: index, writes, isLastWritten }: Step & { kind: 'crash' }): Promise<void> {
    const { life } = this.hierarchy.of(codeOf(index));
    life.crashAt(writes, isLastWritten);
    for (const from of codes) await this.hierarchy.replicate(from, codeOf(index));
    await this.hierarchy.settled();
    life.spare();
  }

  /** Others tell it of what happened while it was away. */
  async #restart(siteCode: string): Promise<void> {
    await this.hierarchy.restart(siteCode, async () => {
      for (const from of codes) await this.hierarchy.replicate(from, siteCode);
    });
  }

  /** That something is gone is said at the site it is of, or above it. */
  #atOwner(index: number, name: string) {
    const asked = codeOf(index);
    return this.hierarchy.of(asked === name.slice(0, 3) ? asked : 'CS1').site;
  }

  async #changeDp({ kind, at: index, dp: which }: DpStep): Promise<void> {
    const dpId = dpIds[which] ?? 'PS1DP1';
    const { site } = this.hierarchy.of(codeOf(index));
    const isGone = kind === 'delete-dp';
    const commands = new DistributionPointCommands(isGone ? this.#atOwner(index, dpId) : site);
    if (kind === 'delete-dp') {
      await commands.delete(dpId, 'waybill://admin/full/alice');
      this.#points.delete(dpId);
      return;
    }
    const settings = { dpId, address: `${dpId}:8531`, kind: 'standard', description: '' } as const;
    await commands.add(settings, dpId.slice(0, 3));
    this.#points.add(dpId);
  }

  #changeSource(packageId: string): void {
    const { machine } = this.hierarchy.of(packageId.slice(0, 3));
    const directory = `/source${this.#packageIds.indexOf(packageId)}`;
    machine.sources.directories.set(directory, `bytes ${++this.#sourceCount}`);
  }

  async #failJobs(): Promise<void> {
    for (const { site } of this.hierarchy.sites.values()) {
      const [job] = await site.openJobs();
      if (job) await site.endJob(job, { state: 'failed', reason: 'a test' });
    }
  }

  async #heal(): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await this.hierarchy.rest();
      let count = 0;
      for (const { site } of this.hierarchy.sites.values()) {
        const all = { packageId: undefined, dpId: undefined, failedOnly: true };
        const { dpIds: retried } = await site.distributionCommands.retryFailed(all);
        count += retried.length;
      }
      if (count === 0) return;
    }
    assert.fail('What failed is never mended');
  }

  async #checkPackage(packageId: string): Promise<void> {
    const source = this.hierarchy.of(packageId.slice(0, 3)).site;
    const row = await source.packages.require(packageId);
    assert.equal(row.state, 'published');
    assert.equal(row.acceptedRequestCount, row.handledRequestCount);
    for (const dpId of dpIds) {
      const { site } = this.hierarchy.of(dpId.slice(0, 3));
      const wish = await source.hierarchyPackages.getAssignment(packageId, dpId);
      const status = await site.getStatus(packageId, dpId);
      const name = `${packageId} on ${dpId}`;
      const point = await source.hierarchy.requireAnywhere(dpId).catch(() => undefined);
      assert.deepEqual(await site.hierarchy.get(dpId), point, `${dpId} at its site`);
      assert.equal(point !== undefined, this.#points.has(dpId), dpId);
      const isMeant = point !== undefined && wish?.intent === 'installed';
      assert.equal(status?.state, isMeant ? 'installed' : undefined, name);
      if (status) assert.equal(status.installedVersion, row.sourceVersion, name);
    }
    for (const one of this.hierarchy.sites.values()) await this.#checkAt(one, { packageId, row });
  }

  async #checkAt(
    { site, machine, own }: HierarchySite,
    { packageId, row }: { packageId: string; row: { properties: object; sourceVersion: number } },
  ): Promise<void> {
    const here = await site.packages.require(packageId);
    assert.deepEqual(here.properties, row.properties, `properties at ${own.siteCode}`);
    const servers = await site.packages.serversOf(packageId);
    const isHeld = packageId.startsWith(own.siteCode) || servers.length > 0;
    const held = machine.sources.packages.get(packageId)?.sourceVersion ?? 0;
    assert.equal(held, isHeld ? row.sourceVersion : 0, `${packageId} at ${own.siteCode}`);
    assert.equal(here.sourceVersion, held);
    if (packageId.startsWith(own.siteCode)) return;
    assert.equal(here.state, 'published');
    assert.equal((await site.hierarchyPackages.ownContent(packageId))?.storedVersion ?? 0, held);
  }

  /** All that the sites keep of packages. */
  async #everything(): Promise<unknown[]> {
    const rows: unknown[] = [];
    for (const { site, own } of this.hierarchy.sites.values()) {
      for (const records of [
        site.packages.packages,
        site.packages.servers,
        site.packages.statuses,
      ]) {
        for await (const [key, value] of records.list()) rows.push([own.siteCode, key, value]);
      }
    }
    return rows;
  }
}

function isDpStep(one: Step): one is DpStep {
  return one.kind === 'add-dp' || one.kind === 'delete-dp';
}

function codeOf(index: number): string {
  return codes[index] ?? 'CS1';
}

/** A DP is deleted where nobody knows yet that something is wanted of it. */
const wishUnheardOf: Step[] = [
  { kind: 'distribute', at: 1, of: 0, dp: 0 },
  { kind: 'settle' },
  { kind: 'delete-dp', at: 0, dp: 0 },
];

describe('Packages of a hierarchy, whatever happens', () => {
  it('end as was wished last, at every site the same, in whatever order it is told (ROLE-4, DM-1)', async function () {
    this.timeout(120_000);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 40 }), async (steps) => {
        const hierarchy = await TestHierarchy.open(sites);
        try {
          for (const dpId of dpIds) {
            await hierarchy.of(dpId.slice(0, 3)).site.addDistributionPoint(dpId);
          }
          await hierarchy.replicateAll();
          const world = new World(hierarchy);
          await world.run({ kind: 'create', at: 0 });
          await hierarchy.rest();
          for (const one of steps) await world.run(one);
          await world.check();
        } finally {
          await hierarchy[Symbol.asyncDispose]();
        }
      }),
      { numRuns: 25, examples: [[wishUnheardOf]] },
    );
  });
});
