import assert from 'node:assert/strict';
import type { ReplicatedRow } from '../../../shared/rpc/generated/waybill/v1/ReplicatedRow.ts';
import type { ReplicationChanges } from '../../../shared/rpc/generated/waybill/v1/ReplicationChanges.ts';
import { keySpaces } from '../../../shared/state-store/key-space.ts';
import type { Sender } from '../apply-rule.ts';
import { ChangeApplier, type ChangeApplierComponents } from '../change-applier.ts';
import { ChangeLog } from '../change-log.ts';
import { FullCopyReceiver } from '../full-copy-receiver.ts';
import { testPackage } from './random-edits.ts';
import { overTheWire, TestHierarchy, type TestSite } from './test-hierarchy.ts';
import { testTree } from './test-sites.ts';

/** Where the site of the present test stands: each test has its own. */
export let hierarchy: TestHierarchy;

/** PS1, to which SEC sends. */
export let site: TestSite;
export let log: ChangeLog;

/** What SEC said in vain. */
export let overruled: string[];

let applier: ChangeApplier;
let sender: Sender;

/** Each test of the suite that calls this begins with a site that knows nothing, and ends with it gone. */
export function openBeforeEach(): void {
  beforeEach(async () => {
    hierarchy = await TestHierarchy.create();
    site = await hierarchy.add('PS1', 'primary');
    const { store, capture, notifier } = site;
    log = await ChangeLog.open({ store, capture, logger: site.log.logger });
    applyWith({ checks: { 'site-identities': () => 'its signature is not of its key' } });
    sender = {
      siteCode: 'SEC',
      isOnItsSide: (origin) => origin === 'SEC',
      ...{ isBelow: true, refilledThrough: 0, refillUntil: 0 },
      mayRefill: () => true,
      tree: testTree,
      ...{ isHeardAnew: () => false, siteRowProblem: () => undefined },
      ownedRowProblem: () => undefined,
      raisedRow: () => undefined,
      isUnjudged: () => false,
      keptRow: () => undefined,
      onOverruled: ({ message }) => overruled.push(message),
      copy: new FullCopyReceiver({
        ...{ store, log, notifier, neighbour: 'SEC', isParent: false },
        ownedRowProblem: () => undefined,
      }),
    };
    overruled = [];
  });
  afterEach(() => hierarchy[Symbol.asyncDispose]());
}

/** Messages are applied by these rules from now on, and no others. */
export function applyWith(
  rules: Pick<ChangeApplierComponents, 'checks' | 'rollbacks' | 'rooms'>,
): void {
  const { store, notifier } = site;
  applier = new ChangeApplier({ store, log, notifier, ...rules }, hierarchy.config);
}

/** What SEC is and may, from now on; the rest stays. */
export function senderIs(changes: Partial<Sender>): void {
  sender = { ...sender, ...changes };
}

/** SEC's DP1. */
export function point(description = '') {
  return { dpId: 'DP1', address: 'dp1:1', kind: 'standard', description, siteCode: 'SEC' };
}

/** SEC's change of DP1, said now or so long after it. */
export function row(changes: Partial<ReplicatedRow> = {}, aheadMs = 0): ReplicatedRow {
  return {
    ...{ table: 'hierarchy-distribution-points', key: 'DP1', value: JSON.stringify(point()) },
    changedAt: { wallMs: hierarchy.clock.nowMs() + aheadMs, counter: 0, siteCode: 'SEC' },
    ...{ sequence: 1, deleted: false },
    ...changes,
  };
}

/** A change that PS1 itself once made of a package. */
export function own(changes: Partial<ReplicatedRow> = {}): ReplicatedRow {
  const published = JSON.stringify(testPackage('PS100001', 'given back'));
  const changedAt = { wallMs: hierarchy.clock.nowMs(), counter: 9, siteCode: 'PS1' };
  const which = { table: 'published-packages', key: 'PS100001', value: published };
  return row({ ...which, changedAt, ...changes });
}

/** Applies what SEC sends, unless it is said otherwise the one row. @returns as `ChangeApplier.apply` */
export function apply(changes: Partial<ReplicationChanges>): Promise<number | undefined> {
  const message = { originSiteCode: 'SEC', after: 0, through: 2, rows: [row()], ...changes };
  const received = overTheWire({ changes: message }).changes;
  assert.ok(received);
  return applier.apply(received, sender);
}

/** All that PS1 holds, by `space:key`. */
export async function everything(): Promise<Map<string, unknown>> {
  const rows = new Map<string, unknown>();
  for (const space of Object.values(keySpaces)) {
    for (const [key, value] of await site.rows<unknown>(space))
      rows.set(`${space.name}:${key}`, value);
  }
  return rows;
}
