import assert from 'node:assert/strict';
import { wishIdOfWord } from './distribution-point-group.ts';
import type { PackageAssignment, SiteContent } from './hierarchy-package.ts';
import {
  isJobDelivered,
  type SiteContentRows,
  siteContentWork,
  siteWishes,
} from './site-content-work.ts';
import type { SiteDelivery, SiteDeliveryResult } from './site-delivery.ts';

function content(facts: Partial<SiteContent> = {}): SiteContent {
  return {
    ...{ packageId: 'CS100001', siteCode: 'PS1', state: 'stored', reason: '', refusedJobId: '' },
    ...{ storedVersion: 0, storedHash: '', needsFull: false, changedAtMs: 10 },
    ...facts,
  };
}

function delivery(facts: Partial<SiteDelivery> = {}): SiteDelivery {
  return {
    ...{ packageId: 'CS100001', siteCode: 'PS1', jobId: 'CS1-00000001', sourceVersion: 7 },
    ...{ baseVersion: 0, wishes: { DP1: 'a' }, repeatCount: 0, ...facts },
  };
}

const delivered: SiteDeliveryResult = {
  ...{ jobId: 'CS1-00000001', outcome: 'delivered', contentChangedAtMs: 10 },
};
const refusedBySender: SiteDeliveryResult = { ...delivered, outcome: 'refused' };
const open = { jobId: 'CS1-00000001', sourceVersion: 7, baseVersion: 0, packageHash: 'h7' };
const wish = { wishes: { DP1: 'a' }, redistributed: new Set<string>() };
const wishedAgain = { ...wish, wishes: { DP1: 'b' } };
const redistributed = { ...wishedAgain, redistributed: new Set(['DP1']) };
const otherDp = { ...wish, wishes: { DP1: 'a', DP2: 'b' } };
const held = content({ storedVersion: 7, storedHash: 'h7' });
const behind = content({ storedVersion: 6, storedHash: 'h6' });
const refusedThere = content({ state: 'refused', refusedJobId: 'CS1-00000001' });

function workOf(rows: Partial<SiteContentRows>): string {
  const work = siteContentWork({
    ...{ sourceVersion: 7, packageHash: 'h7', wish, content: undefined, delivery: undefined },
    ...{ openJob: undefined, result: undefined, failure: undefined, hasVersion: () => true },
    ...rows,
  });
  if (work.kind !== 'create') return work.kind;
  const repeat = work.repeatCount > 0 ? `, repeat ${work.repeatCount}` : '';
  return work.baseVersion === 0 ? `full${repeat}` : `delta from ${work.baseVersion}${repeat}`;
}

describe('what a site is sent of a package (REP-2)', () => {
  const cases: [string, Partial<SiteContentRows>, string][] = [
    ['a site that never had it gets all of it', {}, 'full'],
    ['a site without a DP that is to have it gets nothing', { wish: undefined }, 'nothing'],
    ['before the first version there is nothing to send', { sourceVersion: 0 }, 'nothing'],
    ['a site that holds the newest version gets nothing', { content: held }, 'nothing'],
    [
      'other content of the same version is replaced',
      { content: { ...held, storedHash: 'x' } },
      'full',
    ],
    ['one version behind: a delta', { content: behind }, 'delta from 6'],
    ['five versions behind: a delta', { content: content({ storedVersion: 2 }) }, 'delta from 2'],
    ['six versions behind: all of it', { content: content({ storedVersion: 1 }) }, 'full'],
    ['no history of that version: all', { content: behind, hasVersion: () => false }, 'full'],
    ['the site needs all of it', { content: { ...behind, needsFull: true } }, 'full'],
    ['what is on its way is not sent again', { delivery: delivery(), openJob: open }, 'nothing'],
    [
      'a newer version takes the place of what is on its way',
      { delivery: delivery({ sourceVersion: 6 }), openJob: { ...open, sourceVersion: 6 } },
      'full',
    ],
    [
      'a delta whose base the site no longer has is replaced',
      { delivery: delivery(), openJob: { ...open, baseVersion: 5 }, content: behind },
      'delta from 6',
    ],
    [
      'a delta on its way goes on while the site has its base',
      { delivery: delivery(), openJob: { ...open, baseVersion: 6 }, content: behind },
      'nothing',
    ],
    [
      'a full file on its way goes on although a delta would do',
      { delivery: delivery(), openJob: open, content: behind },
      'nothing',
    ],
    [
      'a delta on its way to a site that needs all is replaced',
      {
        delivery: delivery(),
        openJob: { ...open, baseVersion: 6 },
        content: { ...behind, needsFull: true },
      },
      'full',
    ],
    [
      'what nobody wants any more ends',
      { delivery: delivery(), openJob: open, wish: undefined },
      'forget',
    ],
    [
      'so does what has come another way',
      { delivery: delivery(), openJob: open, content: held },
      'forget',
    ],
    ['what was delivered is waited for', { delivery: delivery(), result: delivered }, 'nothing'],
    [
      'also while the site says what it said before',
      { delivery: delivery(), result: delivered, content: behind },
      'nothing',
    ],
    [
      'also while it is at work',
      {
        delivery: delivery(),
        result: delivered,
        content: content({ state: 'arriving', changedAtMs: 11 }),
      },
      'nothing',
    ],
    [
      'a site that says anew that it has an older version gets it again',
      { delivery: delivery(), result: delivered, content: { ...behind, changedAtMs: 11 } },
      'delta from 6, repeat 1',
    ],
    [
      'but not for ever',
      {
        ...{ delivery: delivery({ repeatCount: 2 }), result: delivered },
        content: { ...behind, changedAtMs: 11 },
      },
      'nothing',
    ],
    [
      'an administrator may ask for it again',
      {
        delivery: delivery(),
        result: delivered,
        wish: redistributed,
      },
      'full',
    ],
    [
      'another DP of the site does not ask for it again',
      { delivery: delivery(), result: delivered, wish: otherDp },
      'nothing',
    ],
    [
      'what was delivered of an older version is no reason to wait',
      { delivery: delivery({ sourceVersion: 6 }), result: delivered, content: behind },
      'delta from 6',
    ],
    [
      'what the site refused is not sent again',
      { delivery: delivery(), result: delivered, content: refusedThere },
      'nothing',
    ],
    [
      'what a neighbour refused is not either',
      { delivery: delivery(), result: refusedBySender },
      'nothing',
    ],
    [
      'unless an administrator wants it since',
      {
        ...{ delivery: delivery(), result: delivered, content: refusedThere },
        wish: wishedAgain,
      },
      'full',
    ],
    [
      'or there is a newer version',
      { delivery: delivery({ sourceVersion: 6 }), result: delivered, content: refusedThere },
      'full',
    ],
    [
      'a refusal of another job says nothing of this one',
      {
        ...{ delivery: delivery(), result: delivered },
        content: { ...refusedThere, refusedJobId: 'CS1-00000000' },
      },
      'nothing',
    ],
    [
      'a refused delta of which all is needed is sent whole, by itself',
      {
        ...{ delivery: delivery({ baseVersion: 6 }), result: delivered },
        content: { ...refusedThere, storedVersion: 6, needsFull: true },
      },
      'full',
    ],
    [
      'once: the whole is not sent again when it is refused too',
      {
        ...{ delivery: delivery(), result: delivered },
        content: { ...refusedThere, storedVersion: 6, needsFull: true },
      },
      'nothing',
    ],
    [
      'after a refused delta an administrator gets all of it',
      {
        ...{ delivery: delivery({ baseVersion: 6 }), result: refusedBySender, content: behind },
        wish: wishedAgain,
      },
      'full',
    ],
    [
      'a delta that could not be made is sent whole',
      {
        ...{ delivery: delivery({ baseVersion: 6 }), content: behind },
        result: { ...delivered, outcome: 'not-made' },
      },
      'full',
    ],
    [
      'a whole file that could not be made waits for somebody',
      { delivery: delivery(), result: { ...delivered, outcome: 'not-made' } },
      'nothing',
    ],
    [
      'a wish uttered again for the same DP is a reason, too: it has not come',
      { delivery: delivery(), result: delivered, wish: wishedAgain },
      'full',
    ],
    [
      'but not while the site is at work on it',
      {
        ...{ delivery: delivery(), result: delivered, wish: wishedAgain },
        content: content({ state: 'arriving' }),
      },
      'nothing',
    ],
    [
      'what a site in between could not pass on, and a new order may, is sent again',
      { delivery: delivery(), result: delivered, failure: { mayRepeat: true } },
      'full, repeat 1',
    ],
    [
      'not for ever',
      {
        ...{ delivery: delivery({ repeatCount: 2 }), result: delivered },
        failure: { mayRepeat: true },
      },
      'nothing',
    ],
    [
      'what the site itself lost before it could store it is sent again',
      {
        ...{ delivery: delivery(), result: delivered },
        content: content({ state: 'none', refusedJobId: 'CS1-00000001' }),
      },
      'full, repeat 1',
    ],
    [
      'an order that was too old is made anew',
      { delivery: delivery(), result: { ...delivered, outcome: 'stale' } },
      'full, repeat 1',
    ],
    [
      'what a site behind the next one refused is not sent again',
      { delivery: delivery(), result: delivered, failure: { mayRepeat: false } },
      'nothing',
    ],
    [
      'unless it is wished anew, for whatever DP',
      {
        ...{ delivery: delivery(), result: delivered, wish: otherDp },
        failure: { mayRepeat: false },
      },
      'full',
    ],
    ['a job that is gone without a word is made again', { delivery: delivery() }, 'full'],
  ];
  for (const [promise, rows, expected] of cases) {
    it(promise, () => assert.equal(workOf(rows), expected));
  }

  it('knows what was delivered by the very content that the site holds', () => {
    const isDelivered = (of: SiteContent | undefined) =>
      isJobDelivered({ openJob: open, content: of });
    assert.equal(isDelivered(held), true);
    const others = [undefined, behind, { ...held, storedHash: 'x' }, { ...held, needsFull: true }];
    for (const other of others) assert.equal(isDelivered(other), false);
    assert.equal(isDelivered({ ...held, storedVersion: 8 }), false, 'a newer one came another way');
    assert.equal(isJobDelivered({ openJob: undefined, content: held }), false);
  });

  it('takes the newest wish of all DPs of a site, and only wishes to have it', () => {
    const of = { packageId: 'CS100001', siteCode: '', wishedAtMs: 1 } as const;
    const installed = { ...of, intent: 'installed', action: 'add' } as const;
    const assignments: PackageAssignment[] = [
      { ...installed, dpId: 'A', wishId: 'a' },
      { ...installed, dpId: 'B', wishId: 'b', action: 'redistribute' },
      { ...of, dpId: 'C', intent: 'removed', action: 'remove', wishId: 'c' },
      { ...installed, dpId: 'gone', wishId: 'd' },
    ];
    const siteOf = new Map([
      ...(['A', 'B'] as const).map((dpId) => [dpId, 'PS1'] as const),
      ['C', 'PS2'],
    ]);
    assert.deepEqual(
      [...siteWishes(assignments, (dpId) => siteOf.get(dpId))],
      [['PS1', { wishes: { A: 'a', B: 'b' }, redistributed: new Set(['B']) }]],
    );
  });

  it('tells one word of a group from its next: what was refused goes again (REP-7, ADM-3)', () => {
    const wishesAt = (saidAtMs: number) => {
      const word = { groupName: 'Offices', intent: 'installed', saidAtMs } as const;
      const what = { packageId: 'CS100001', dpId: 'DP1', siteCode: 'PS1', intent: 'installed' };
      const wishId = wishIdOfWord(word);
      const assignment = { ...what, action: 'add', wishId, wishedAtMs: saidAtMs };
      const [[, one] = []] = siteWishes([assignment as PackageAssignment], () => 'PS1');
      assert.ok(one);
      return one;
    };
    const before = wishesAt(1_774_000_000_000);
    const known = delivery({ wishes: before.wishes });
    const refused = { delivery: known, result: refusedBySender };
    assert.equal(workOf({ ...refused, wish: before }), 'nothing');
    const again = wishesAt(1_774_000_060_000);
    assert.equal(workOf({ ...refused, wish: again }), 'full');
  });
});
