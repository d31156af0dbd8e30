import type { PackageAssignment } from './hierarchy-package.ts';
import type { PackageServerIntent } from './site-package.ts';

/** DPs of any sites that are spoken of together: the row of "distribution point groups" (ADM-3). */
export interface DistributionPointGroup {
  readonly groupName: string;
  readonly description: string;
}

/**
 * That a DP is in a group, and since when: the row of "group members". One for each DP, so that of two
 * sites that change a group at the same time none takes back what the other did. The row of a DP that has
 * left stays until the group or the DP is deleted: its site may have to learn that it was to drop what
 * the group had.
 */
export interface GroupMember {
  readonly groupName: string;
  readonly dpId: string;
  readonly joinedAtMs: number;
  /** 0 while it is in the group. */
  readonly leftAtMs: number;
  /** Whether, when it left, it was to drop what the group had. */
  readonly isDropping: boolean;
}

/**
 * What a group is to do with a package, whoever joins it: the row of "group assignments". The newest word
 * stands; that the package was taken off the group stays until the group or the package is deleted.
 */
export interface GroupAssignment {
  readonly groupName: string;
  readonly packageId: string;
  readonly intent: PackageServerIntent;
  readonly saidAtMs: number;
  /** Since when the group has it; once taken off, since when it had it. 0: it never had it. */
  readonly sinceMs: number;
}

/** What a group is to do with a package from now on, whatever it was told before. */
export function nextAssignment(
  before: GroupAssignment | undefined,
  next: Pick<GroupAssignment, 'groupName' | 'packageId' | 'intent' | 'saidAtMs'>,
): GroupAssignment {
  const isGivenAnew = next.intent === 'installed' && before?.intent !== 'installed';
  return { ...next, sinceMs: isGivenAnew ? next.saidAtMs : (before?.sinceMs ?? 0) };
}

/** What a group says of a package on one of its DPs. */
export interface GroupWord {
  readonly groupName: string;
  readonly intent: PackageServerIntent;
  /** From when it counts: what was said of the DP by name later than that stands against it. */
  readonly saidAtMs: number;
}

/** A DP in a group, and what that group is to do with a package. */
export interface GroupView {
  readonly member: GroupMember;
  readonly assignment: GroupAssignment;
}

export function isMember({ leftAtMs }: GroupMember): boolean {
  return leftAtMs === 0;
}

/**
 * What the groups of a DP say of one package there, all together; undefined: nothing. One group that has
 * the package outweighs all that take it off, and all that have taken it off by the time at which the DP
 * left it, keeping what it had. Follows from the rows alone, so every site says the same.
 */
export function groupWordOf(views: readonly GroupView[]): GroupWord | undefined {
  const installed = newest(views.map(installedBy));
  if (installed) return installed;
  const keptAtMs = Math.max(Number.NEGATIVE_INFINITY, ...views.map(keptAt));
  const removed = views.map(removedBy).filter((word) => (word?.saidAtMs ?? 0) > keptAtMs);
  return newest(removed);
}

/** When it left a group that had the package, and kept it. */
function keptAt({ member, assignment }: GroupView): number {
  const { leftAtMs, isDropping } = member;
  const { intent, saidAtMs, sinceMs } = assignment;
  const hadIt =
    sinceMs > 0 && sinceMs < leftAtMs && (intent === 'installed' || saidAtMs > leftAtMs);
  return hadIt && !isDropping ? leftAtMs : Number.NEGATIVE_INFINITY;
}

/** A group that has the package gives it to a DP from when both are so: it is in, and the group has it. */
function installedBy({ member, assignment }: GroupView): GroupWord | undefined {
  if (!isMember(member) || assignment.intent !== 'installed') return undefined;
  const saidAtMs = Math.max(member.joinedAtMs, assignment.saidAtMs);
  return { groupName: member.groupName, intent: 'installed', saidAtMs };
}

/** Whoever was in the group when the package was taken off it, or left it and was to drop what it had. */
function removedBy({ member, assignment }: GroupView): GroupWord | undefined {
  const { groupName, joinedAtMs, leftAtMs, isDropping } = member;
  const { saidAtMs, sinceMs } = assignment;
  const removed = { groupName, intent: 'removed' } as const;
  const isTakenOff = assignment.intent === 'removed';
  const wasIn = joinedAtMs < saidAtMs && (isMember(member) || saidAtMs < leftAtMs);
  if (isTakenOff && wasIn) return { ...removed, saidAtMs };
  const hadIt = sinceMs > 0 && sinceMs < leftAtMs;
  return isDropping && hadIt ? { ...removed, saidAtMs: leftAtMs } : undefined;
}

/** Of two of the same time the one of the group whose name comes first, so that all sites agree. */
function newest(words: readonly (GroupWord | undefined)[]): GroupWord | undefined {
  let best: GroupWord | undefined;
  for (const word of words) if (word && (!best || isBefore(best, word))) best = word;
  return best;
}

function isBefore(a: GroupWord, b: GroupWord): boolean {
  return a.saidAtMs < b.saidAtMs || (a.saidAtMs === b.saidAtMs && a.groupName > b.groupName);
}

/** Begins the ID of every wish that follows from a group; those that were uttered by name are UUIDs. */
const wishPrefix = 'group/';

/** The ID of the wish that a word of a group is: the same at each site, and another one for each word. */
export function wishIdOfWord({ groupName, intent, saidAtMs }: GroupWord): string {
  return `${wishPrefix}${groupName}/${intent}/${saidAtMs}`;
}

/** What is wished of a package on one DP, by whom. */
export interface WishesOfDp {
  readonly byName?: PackageAssignment | undefined;
  /** What its site has concluded from its groups, maybe from rows that others have taken the place of. */
  readonly kept?: PackageAssignment | undefined;
  /** What its groups say now. */
  readonly byGroups?: PackageAssignment | undefined;
}

/**
 * Of all that is wished the one that stands: the latest; of the same time what was said by name. That its
 * groups once took the package counts no more when one of them has it.
 */
export function standingWish(wishes: WishesOfDp): PackageAssignment | undefined {
  const { byName, kept, byGroups } = wishes;
  const isOutdated = kept?.intent === 'removed' && byGroups?.intent === 'installed';
  return later(byName, isOutdated ? byGroups : later(kept, byGroups));
}

function later(
  first: PackageAssignment | undefined,
  second: PackageAssignment | undefined,
): PackageAssignment | undefined {
  if (!first || !second) return first ?? second;
  return first.wishedAtMs < second.wishedAtMs ? second : first;
}

/** Whether a wish follows from a group, or from this one. */
export function isWishOfGroup(
  { wishId }: { readonly wishId: string },
  groupName?: string,
): boolean {
  return wishId.startsWith(groupName === undefined ? wishPrefix : `${wishPrefix}${groupName}/`);
}
