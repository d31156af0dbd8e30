import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import { TestHierarchy } from '../distribution-manager/testing/test-hierarchy.ts';
import type { OwnSite } from './site-directory.ts';

const parent = { siteCode: 'CS1', address: 'CS1:8530' };
const sites: readonly OwnSite[] = [
  { siteCode: 'CS1', kind: 'central-administration' },
  { siteCode: 'PS1', kind: 'primary', parent },
  { siteCode: 'PS2', kind: 'primary', parent },
];
const codes = sites.map(({ siteCode }) => siteCode);
const dpIds = ['PS1DP1', 'PS1DP2', 'PS2DP1'] as const;
const groupNames = ['North', 'South'] as const;

const takingSteps = ['drop', 'remove-from-group', 'remove-by-name'] as const;
const keepingSteps = ['join', 'join', 'leave', 'give-to-group', 'give-by-name'] as const;

type Step =
  | {
      kind: (typeof takingSteps)[number] | (typeof keepingSteps)[number];
      at: number;
      group: number;
      dp: number;
    }
  | { kind: 'delete-group' | 'add-group'; at: number; group: number }
  | { kind: 'replicate'; from: number; to: number }
  | { kind: 'settle' }
  | { kind: 'rest' }
  | { kind: 'skew'; at: number }
  | { kind: 'crash'; at: number; writes: number };

const at = fc.nat({ max: codes.length - 1 });
const group = fc.nat({ max: groupNames.length - 1 });
const dp = fc.nat({ max: dpIds.length - 1 });
const keeping: fc.Arbitrary<Step>[] = [
  fc.record({ kind: fc.constantFrom(...keepingSteps), at, group, dp }),
  fc.record({ kind: fc.constantFrom(...keepingSteps), at, group, dp }),
  fc.record({ kind: fc.constantFrom('delete-group' as const, 'add-group'), at, group }),
  fc.record({ kind: fc.constant('replicate' as const), from: at, to: at }),
  fc.record({ kind: fc.constant('replicate' as const), from: at, to: at }),
  fc.record({ kind: fc.constant('settle' as const) }),
  fc.record({ kind: fc.constant('rest' as const) }),
  fc.record({ kind: fc.constant('rest' as const) }),
  fc.record({ kind: fc.constant('skew' as const), at }),
  fc.record({ kind: fc.constant('crash' as const), at, writes: fc.integer({ min: 1, max: 5 }) }),
];
const any: fc.Arbitrary<Step>[] = [
  ...keeping,
  fc.record({ kind: fc.constantFrom(...takingSteps), at, group, dp }),
  fc.record({ kind: fc.constantFrom(...takingSteps), at, group, dp }),
];
const stepsOf = (some: fc.Arbitrary<Step>[]) => {
  return fc.array(fc.oneof(...some), { minLength: 3, maxLength: 20 });
};

/** A group loses a package at one site, and is given it again at another that does not know. */
const apart: Step[] = [
  { kind: 'remove-from-group', at: 1, group: 0, dp: 0 },
  { kind: 'settle' },
  { kind: 'give-to-group', at: 0, group: 0, dp: 0 },
];

const refusals = ['GROUP_UNKNOWN', 'GROUP_EXISTS', 'PACKAGE_UNKNOWN'] as const;

class World {
  readonly hierarchy: TestHierarchy;
  readonly packageId: string;
  /** DPs that were seen with the package. */
  readonly having = new Set<string>();

  constructor(hierarchy: TestHierarchy, packageId: string) {
    this.hierarchy = hierarchy;
    this.packageId = packageId;
  }

  async run(step: Step): Promise<void> {
    try {
      await this.#run(step);
    } catch (error) {
      if (!refusals.some((code) => isErrorWithCode(error, code))) throw error;
    }
    await this.#look();
  }

  /** All sites say the same, the DPs have what is said, and told again it changes nothing. */
  async check(): Promise<void> {
    await this.hierarchy.rest();
    await this.#look();
    const said = await this.#said('CS1');
    for (const siteCode of codes) assert.deepEqual(await this.#said(siteCode), said, siteCode);
    for (const dpId of dpIds) await this.#checkDp(dpId);
    await this.hierarchy.tellAgain(this.packageId);
    await this.hierarchy.rest();
    assert.deepEqual(await this.#said('CS1'), said, 'told again, it changes nothing');
  }

  async #run(step: Step): Promise<void> {
    if (step.kind === 'settle') return this.hierarchy.settled();
    if (step.kind === 'rest') return this.hierarchy.rest();
    if (step.kind === 'replicate') {
      return this.hierarchy.replicate(codeOf(step.from), codeOf(step.to));
    }
    const { site, machine, life } = this.hierarchy.of(codeOf(step.at));
    if (step.kind === 'skew') return machine.clock.advance(60_000);
    if (step.kind === 'crash') {
      life.crashAt(step.writes, step.writes % 2 === 0);
      for (const from of codes) await this.hierarchy.replicate(from, codeOf(step.at));
      await this.hierarchy.settled();
      return this.hierarchy.of(codeOf(step.at)).life.spare();
    }
    const { groupCommands, distributionCommands } = site;
    const groupName = groupNames[step.group] ?? 'North';
    if (!('dp' in step)) {
      const isDeletion = step.kind === 'delete-group';
      if (isDeletion) await groupCommands.delete(groupName);
      else await groupCommands.add({ groupName, description: '' }, []);
      return;
    }
    const { packageId } = this;
    const dpId = dpIds[step.dp] ?? 'PS1DP1';
    const ofGroup = { packageId, dpIds: [], groupNames: [groupName] };
    const byName = { packageId, dpIds: [dpId] };
    switch (step.kind) {
      case 'join':
        return void (await groupCommands.join(groupName, [dpId]));
      case 'leave':
      case 'drop': {
        const isDropping = step.kind === 'drop';
        // Whoever is not in it, as far as this site knows, is refused.
        if (!(await groupCommands.get(groupName)).dpIds.includes(dpId)) return;
        return void (await groupCommands.leave(groupName, [dpId], { isDropping }));
      }
      case 'give-to-group':
        return void (await distributionCommands.distribute(ofGroup));
      case 'remove-from-group':
        return void (await distributionCommands.remove(ofGroup));
      case 'give-by-name':
        return void (await distributionCommands.distribute(byName));
      case 'remove-by-name':
        return void (await distributionCommands.remove(byName));
    }
  }

  /** Of each DP what is wanted there, as a site sees it. */
  async #said(siteCode: string): Promise<unknown[]> {
    const { hierarchyPackages, groupCommands } = this.hierarchy.of(siteCode).site;
    const groups: unknown[] = [];
    for await (const one of groupCommands.list()) groups.push(one);
    return [await hierarchyPackages.assignmentsOf(this.packageId), groups];
  }

  /** What is said by name and what a group has now, each against what was said later than it. */
  async #checkDp(dpId: string): Promise<void> {
    const { hierarchyPackages, groupCommands } = this.hierarchy.of('CS1').site;
    const { groups } = hierarchyPackages;
    const byName = await hierarchyPackages.assignments.get(joinKey(this.packageId, dpId));
    let givenAtMs = 0;
    for (const groupName of groupNames) {
      const member = await groups.members.get(joinKey(groupName, dpId));
      const assignment = await groups.assignments.get(joinKey(this.packageId, groupName));
      const isThere = (await groupCommands.get(groupName).catch(() => undefined)) !== undefined;
      if (!isThere || member?.leftAtMs !== 0 || assignment?.intent !== 'installed') continue;
      givenAtMs = Math.max(givenAtMs, member.joinedAtMs, assignment.saidAtMs);
    }
    const has = await this.#has(dpId);
    if (givenAtMs === 0) return;
    const isTakenSince = byName?.intent === 'removed' && byName.wishedAtMs >= givenAtMs;
    const isGivenSince = byName?.intent === 'installed' && byName.wishedAtMs >= givenAtMs;
    if (isGivenSince || !isTakenSince) assert.ok(has, `${dpId} is to have what its group has`);
    else assert.ok(!has, `${dpId} lost it by name since`);
  }

  async #look(): Promise<void> {
    for (const dpId of dpIds) if (await this.#has(dpId)) this.having.add(dpId);
  }

  async #has(dpId: string): Promise<boolean> {
    const { site } = this.hierarchy.of(dpId.slice(0, 3));
    return (await site.packages.getServer(this.packageId, dpId))?.intent === 'installed';
  }

  async keptAll(): Promise<void> {
    for (const dpId of this.having) assert.ok(await this.#has(dpId), `${dpId} keeps what it had`);
  }
}

function codeOf(index: number): string {
  return codes[index] ?? 'CS1';
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const hierarchy = await TestHierarchy.open(sites);
  try {
    for (const dpId of dpIds) {
      await hierarchy.of(dpId.slice(0, 3)).site.addDistributionPoint(dpId);
    }
    const { site } = hierarchy.of('CS1');
    const packageId = await site.createPackage('v1');
    await hierarchy.rest();
    await site.groupCommands.add({ groupName: 'North', description: '' }, ['PS1DP1', 'PS2DP1']);
    await site.groupCommands.add({ groupName: 'South', description: '' }, ['PS1DP2']);
    await site.distributionCommands.distribute({ packageId, dpIds: [], groupNames: ['North'] });
    await hierarchy.rest();
    await work(new World(hierarchy, packageId));
  } finally {
    await hierarchy[Symbol.asyncDispose]();
  }
}

describe('Groups of distribution points, whatever happens (PKG-4, PKG-7, ADM-3, DM-1)', function () {
  this.timeout(120_000);

  it('end the same at every site, in whatever order it is told, and DPs have what was said last', async () => {
    await fc.assert(
      fc.asyncProperty(stepsOf(any), (steps) =>
        inWorld(async (world) => {
          for (const step of steps) await world.run(step);
          await world.check();
        }),
      ),
      { numRuns: 20, examples: [[apart]] },
    );
  });

  it('take nothing from a DP that nobody told to lose it: it leaves, groups go, sites crash', async () => {
    await fc.assert(
      fc.asyncProperty(stepsOf(keeping), (steps) =>
        inWorld(async (world) => {
          for (const step of steps) await world.run(step);
          await world.check();
          await world.keptAll();
        }),
      ),
      { numRuns: 10 },
    );
  });
});
