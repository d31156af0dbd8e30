import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type GroupAssignment,
  type GroupMember,
  type GroupView,
  type GroupWord,
  groupWordOf,
  isWishOfGroup,
  nextAssignment,
  standingWish,
  wishIdOfWord,
} from './distribution-point-group.ts';
import type { PackageAssignment } from './hierarchy-package.ts';

const memberOf = (groupName: string, facts: Partial<GroupMember> = {}): GroupMember => {
  return { groupName, dpId: 'DP1', joinedAtMs: 10, leftAtMs: 0, isDropping: false, ...facts };
};
const has = (groupName: string, saidAtMs: number): GroupAssignment => {
  return { groupName, packageId: 'PS100001', intent: 'installed', saidAtMs, sinceMs: saidAtMs };
};
const hasNoMore = (groupName: string, saidAtMs: number): GroupAssignment => {
  return { ...has(groupName, saidAtMs), intent: 'removed', sinceMs: 15 };
};
const view = (member: GroupMember, assignment: GroupAssignment): GroupView => {
  return { member, assignment };
};
const wish = (intent: 'installed' | 'removed', wishedAtMs: number): PackageAssignment => {
  const what = { packageId: 'PS100001', dpId: 'DP1', siteCode: 'PS1', action: 'add' } as const;
  return { ...what, intent, wishId: `${intent} ${wishedAtMs}`, wishedAtMs };
};
const left = { leftAtMs: 30 };
const dropping = { leftAtMs: 30, isDropping: true };

describe('What the groups of a DP say of a package there (PKG-4, ADM-3)', () => {
  const cases: readonly [string, readonly GroupView[], string | undefined][] = [
    ['is in, was given later', [view(memberOf('A'), has('A', 20))], 'A installed 20'],
    ['joined what has it', [view(memberOf('A'), has('A', 5))], 'A installed 10'],
    ['was in when it was taken off', [view(memberOf('A'), hasNoMore('A', 20))], 'A removed 20'],
    ['joined after it was taken off', [view(memberOf('A'), hasNoMore('A', 5))], undefined],
    ['left, and keeps', [view(memberOf('A', left), has('A', 20))], undefined],
    ['left, and drops', [view(memberOf('A', dropping), has('A', 20))], 'A removed 30'],
    [
      'left, drops what was taken off since',
      [view(memberOf('A', dropping), hasNoMore('A', 40))],
      'A removed 30',
    ],
    [
      'left, drops what was given anew since',
      [view(memberOf('A', dropping), { ...has('A', 40), sinceMs: 15 })],
      'A removed 30',
    ],
    ['left before it was given', [view(memberOf('A', dropping), has('A', 40))], undefined],
    [
      'left after it was taken off',
      [view(memberOf('A', left), hasNoMore('A', 20))],
      'A removed 20',
    ],
    ['left before it was taken off', [view(memberOf('A', left), hasNoMore('A', 40))], undefined],
    [
      'left and keeps what another group had lost before',
      [view(memberOf('A', left), has('A', 20)), view(memberOf('B'), hasNoMore('B', 25))],
      undefined,
    ],
    [
      'left and keeps what is taken off both since',
      [view(memberOf('A', left), hasNoMore('A', 35)), view(memberOf('B'), hasNoMore('B', 25))],
      undefined,
    ],
    [
      'left, and another group loses it later',
      [view(memberOf('A', left), has('A', 20)), view(memberOf('B'), hasNoMore('B', 40))],
      'B removed 40',
    ],
    [
      'is in another group that has it',
      [view(memberOf('A'), hasNoMore('A', 90)), view(memberOf('B'), has('B', 20))],
      'B installed 20',
    ],
    [
      'dropped by one, held by another',
      [view(memberOf('A', dropping), has('A', 20)), view(memberOf('B'), has('B', 5))],
      'B installed 10',
    ],
    [
      'given by two: the later word',
      [view(memberOf('A'), has('A', 20)), view(memberOf('B'), has('B', 25))],
      'B installed 25',
    ],
    ['is in none', [], undefined],
  ];
  for (const [what, views, expected] of cases) {
    it(`${what}: ${expected ?? 'nothing'}`, () => {
      assert.equal(textOf(groupWordOf(views)), expected);
    });
  }

  it('has been given since the first of several times, and again once it was taken off', () => {
    const word = (intent: 'installed' | 'removed', saidAtMs: number) => {
      return { groupName: 'A', packageId: 'PS100001', intent, saidAtMs };
    };
    let assignment = nextAssignment(undefined, word('removed', 5));
    assert.equal(assignment.sinceMs, 0);
    for (const [intent, saidAtMs, sinceMs] of [
      ['installed', 10, 10],
      ['installed', 20, 10],
      ['removed', 30, 10],
      ['removed', 35, 10],
      ['installed', 40, 40],
    ] as const) {
      assignment = nextAssignment(assignment, word(intent, saidAtMs));
      assert.deepEqual(assignment, { ...word(intent, saidAtMs), sinceMs });
    }
  });

  it('does not hang on the order of the rows', () => {
    const times = fc.nat({ max: 4 });
    const anyView = fc
      .record({
        groupName: fc.constantFrom('A', 'B', 'C'),
        joinedAtMs: times,
        leftAtMs: times,
        isDropping: fc.boolean(),
        saidAtMs: times,
        intent: fc.constantFrom('installed' as const, 'removed' as const),
      })
      .map(({ saidAtMs, intent, ...facts }) =>
        view(memberOf(facts.groupName, facts), { ...has(facts.groupName, saidAtMs), intent }),
      );
    const views = fc.uniqueArray(anyView, {
      maxLength: 3,
      selector: ({ member }) => member.groupName,
    });
    fc.assert(
      fc.property(views, (some) => {
        assert.deepEqual(groupWordOf([...some].reverse()), groupWordOf(some));
      }),
    );
  });

  for (const [what, wishes, expected] of [
    ['what was said by name', { byName: wish('removed', 3), byGroups: wish('installed', 2) }, 3],
    ['the word of the groups', { byName: wish('removed', 3), byGroups: wish('installed', 4) }, 4],
    ['by name, at one time', { byName: wish('removed', 3), kept: wish('installed', 3) }, 3],
    ['what was concluded once', { kept: wish('installed', 5), byGroups: wish('removed', 4) }, 5],
    ['a group that has it now', { kept: wish('removed', 5), byGroups: wish('installed', 4) }, 4],
    [
      'by name, later than a group that has it now',
      { byName: wish('removed', 4), kept: wish('removed', 9), byGroups: wish('installed', 3) },
      4,
    ],
  ] as const) {
    it(`stands against other wishes: ${what}`, () => {
      assert.equal(standingWish(wishes)?.wishedAtMs, expected);
    });
  }

  it('is a wish with an ID of its own for each word', () => {
    const words: GroupWord[] = [
      { groupName: 'A', intent: 'installed', saidAtMs: 1 },
      { groupName: 'A', intent: 'removed', saidAtMs: 1 },
      { groupName: 'A', intent: 'installed', saidAtMs: 2 },
      { groupName: 'B', intent: 'installed', saidAtMs: 1 },
    ];
    const ids = words.map(wishIdOfWord);
    assert.equal(new Set(ids).size, words.length);
    assert.ok(ids.every((wishId) => isWishOfGroup({ wishId })));
    assert.ok(!isWishOfGroup({ wishId: 'f4b1c2de-0000-4000-8000-000000000000' }));
  });
});

function textOf(word: GroupWord | undefined): string | undefined {
  return word && `${word.groupName} ${word.intent} ${word.saidAtMs}`;
}
