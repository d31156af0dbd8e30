import assert from 'node:assert/strict';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { watchLink } from './testing/link-watch.ts';
import { converged } from './testing/replicated-state.ts';
import { TestHierarchy, type TestSite } from './testing/test-hierarchy.ts';

const dayMs = 24 * 3_600_000;

/** Rows of each origin that are there before. */
const rowCount = 7_500;
const roundCount = 20;

describe('a site that was away (REP-1)', function () {
  this.timeout(60_000);
  let hierarchy: TestHierarchy;
  let cas: TestSite;
  let ps1: TestSite;
  let ps2: TestSite;
  /** Rows that were changed while the site was away, each once. */
  let changedRows: Set<string>;
  let changeCount: number;
  beforeEach(async () => {
    changedRows = new Set();
    changeCount = 0;
    hierarchy = await TestHierarchy.create();
    cas = await hierarchy.add('CAS', 'central-administration');
    ps1 = await hierarchy.add('PS1', 'primary', 'CAS');
    ps2 = await hierarchy.add('PS2', 'primary', 'CAS');
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());

  /** The rows of two origins, and deletions that will be forgotten while the site is away. */
  async function fill(): Promise<void> {
    const forgotten = { from: 50_000, count: 20 };
    for (const origin of [cas, ps2]) {
      const rows = { from: 0, count: rowCount };
      await write(origin, [...puts(origin, rows, 0), ...puts(origin, forgotten, 0)]);
      await write(origin, deletions(origin, forgotten));
    }
    pass(75);
    await hierarchy.until(() => isQuiet(hierarchy), 'rows at all sites');
  }

  /** 250 changes at each of two origins, and 1.5 days in which each site sweeps. */
  async function changeAll(round: number): Promise<void> {
    for (const origin of [cas, ps2]) {
      const changes = changesOf(origin, round);
      await write(origin, changes);
      changeCount += changes.length;
      for (const { space, key } of changes) changedRows.add(`${space}/${key}`);
    }
    pass(1.5);
    // Each reads the whole log: every day would take most of the time of this test.
    if (round % 5 < 4) return;
    for (const site of [cas, ps1, ps2]) await site.manager.sweep();
  }

  /** The time between, without the thousands of tries to connect in it. */
  function pass(days: number): void {
    for (const site of [cas, ps1, ps2]) site.skewMs += days * dayMs;
  }

  it('catches up after 30 days and 10,000 changes without a full copy, each row once', async () => {
    await fill();
    hierarchy.cut('PS1', 'CAS');
    for (let round = 0; round < roundCount; round++) await changeAll(round);
    const hasAll = async () => (await ps2.manager.delays())[0]?.behindMs === 0;
    await hierarchy.until(hasAll, 'changes of PS2 at the CAS');
    for (const origin of ['CAS', 'PS2']) {
      const state = await cas.store.records(keySpaces.originStates).get(origin);
      assert.ok(state && state.floor > 0, `no deletion of ${origin} was forgotten meanwhile`);
    }

    assert.equal(changeCount, 10_000);
    const changedCount = changedRows.size;
    const [lag] = await cas.manager.neighbours();
    assert.deepEqual([lag?.connected, lag?.changesBehind], [false, changedCount]);
    const [delay] = await cas.manager.delays();
    assert.deepEqual(delay, { siteCode: 'PS1', connected: false, behindMs: lag?.behindMs });
    assert.ok(Math.abs(Number(delay?.behindMs) - 30 * dayMs) < dayMs);

    const seen = watchLink(hierarchy, 'PS1');
    const from = ps1.log.lines.length;
    hierarchy.mendAll();
    await hierarchy.until(() => isQuiet(hierarchy), 'changes at PS1');
    await converged(hierarchy);
    assert.deepEqual(seen, { rowCount: changedCount, copyPartCount: 0 });
    assert.equal(appliedCount(ps1, from), changedCount);
    assert.ok((await heldCount(ps1)) > 1.5 * changedCount, 'most rows were not sent');
    assert.deepEqual(cas.log.messages(40), []);
    const caughtUp = { siteCode: 'PS1', connected: true, behindMs: 0 };
    assert.deepEqual((await cas.manager.delays())[0], caughtUp);
  });
});

interface Range {
  readonly from: number;
  readonly count: number;
}

function write(site: TestSite, changes: readonly Change[]): Promise<void> {
  return site.store.write(changes, { sync: false });
}

/** New rows, changed and deleted ones, other ones in each round, and some that every round changes. */
function changesOf(site: TestSite, round: number): Change[] {
  const ofRound = (from: number, count: number) => ({ from: from + round * count, count });
  const put = [{ from: 0, count: 25 }, ofRound(100, 100), ofRound(rowCount, 75)];
  return [
    ...put.flatMap((range) => puts(site, range, round + 1)),
    ...deletions(site, ofRound(3_000, 50)),
  ];
}

function puts(site: TestSite, range: Range, serial: number): Change[] {
  return numbersOf(range).map((number) => {
    const { dpId, points, members, memberKey, isPoint } = rowAt(site, number);
    const facts = { dpId, address: 'dp:1', kind: 'standard', siteCode: 'PS2' } as const;
    if (isPoint) return points.put(dpId, { ...facts, description: `${serial}` });
    const times = { joinedAtMs: serial, leftAtMs: 0 };
    return members.put(memberKey, { groupName: 'Offices', dpId, ...times, isDropping: false });
  });
}

function deletions(site: TestSite, range: Range): Change[] {
  return numbersOf(range).map((number) => {
    const { dpId, points, members, memberKey, isPoint } = rowAt(site, number);
    return isPoint ? points.delete(dpId) : members.delete(memberKey);
  });
}

/** Every other row of an origin is a DP, those between are members of a group. */
function rowAt({ store, code }: TestSite, number: number) {
  const dpId = `${code}DP${number}`;
  return {
    ...{ dpId, isPoint: number % 2 === 0, memberKey: joinKey('Offices', dpId) },
    points: store.records(keySpaces.hierarchyDistributionPoints),
    members: store.records(keySpaces.groupMembers),
  };
}

function numbersOf({ from, count }: Range): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

async function heldCount(site: TestSite): Promise<number> {
  const points = await site.rows(keySpaces.hierarchyDistributionPoints);
  return points.size + (await site.rows(keySpaces.groupMembers)).size;
}

/** Rows that were applied at a site since its log was that long. */
function appliedCount(site: TestSite, from: number): number {
  const lines = site.log.lines.slice(from).filter(({ msg }) => msg === 'Applied changes');
  return lines.reduce((sum, { rowCount }) => sum + Number(rowCount), 0);
}

/** Whether no site lacks what is older than this moment: to compare all rows each time would take long. */
async function isQuiet(hierarchy: TestHierarchy): Promise<boolean> {
  for (const site of hierarchy.sites.values()) {
    const delays = await site.manager.delays();
    if (!delays.every(({ connected, behindMs }) => connected && behindMs === 0)) return false;
  }
  return true;
}
