import {
  type DistributionPointGroup,
  type GroupAssignment,
  type GroupMember,
  type GroupView,
  isMember,
} from '../../shared/domain/distribution-point-group.ts';
import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { RecordStore } from '../../shared/state-store/record-store.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/**
 * The replicated rows of groups of DPs (docs/controls.md, 4): which there are, who is in them, what they
 * are to have, and what sites have concluded from that for their DPs. A member or an assignment of a group
 * that is not there counts for nothing: it was said elsewhere before the deletion was known. Writes nothing
 * by itself.
 */
export class GroupRows {
  readonly groups: RecordStore<DistributionPointGroup>;
  readonly members: RecordStore<GroupMember>;
  readonly assignments: RecordStore<GroupAssignment>;
  /** What the DP's site has concluded: it stays when the DP leaves, or the group goes. */
  readonly wishes: RecordStore<PackageAssignment>;

  constructor(store: Pick<StateStore, 'records'>) {
    this.groups = store.records(keySpaces.distributionPointGroups);
    this.members = store.records(keySpaces.groupMembers);
    this.assignments = store.records(keySpaces.groupAssignments);
    this.wishes = store.records(keySpaces.groupWishes);
  }

  /** By DP, what its groups have to do with a package. */
  async viewsOf(packageId: string): Promise<Map<string, GroupView[]>> {
    const views = new Map<string, GroupView[]>();
    for (const assignment of await this.assignmentsOf(packageId)) {
      const prefix = `${assignment.groupName}/`;
      for await (const [, member] of this.members.list({ prefix })) {
        const ofDp = views.get(member.dpId) ?? [];
        views.set(member.dpId, ofDp);
        ofDp.push({ member, assignment });
      }
    }
    return views;
  }

  /** What the groups of one DP have to do with a package. */
  async viewsOn(packageId: string, dpId: string): Promise<GroupView[]> {
    const views: GroupView[] = [];
    for (const assignment of await this.assignmentsOf(packageId)) {
      const member = await this.members.get(joinKey(assignment.groupName, dpId));
      if (member) views.push({ member, assignment });
    }
    return views;
  }

  /** What the groups that there are, are to do with a package; by group. */
  async assignmentsOf(packageId: string): Promise<GroupAssignment[]> {
    const standing: GroupAssignment[] = [];
    for await (const [, assignment] of this.assignments.list({ prefix: `${packageId}/` })) {
      if (await this.groups.get(assignment.groupName)) standing.push(assignment);
    }
    return standing;
  }

  /** The DPs that are in a group, by name; of some that were deleted elsewhere it may not know yet. */
  async membersOf(groupName: string): Promise<string[]> {
    const dpIds: string[] = [];
    for await (const [, member] of this.members.list({ prefix: `${groupName}/` })) {
      if (isMember(member)) dpIds.push(member.dpId);
    }
    return dpIds;
  }

  /** By DP, the groups it is in. Reads all members of all groups. */
  async groupsByDp(): Promise<Map<string, string[]>> {
    const names = new Set<string>();
    for await (const [groupName] of this.groups.list()) names.add(groupName);
    const groups = new Map<string, string[]>();
    for await (const [, member] of this.members.list()) {
      if (!isMember(member) || !names.has(member.groupName)) continue;
      groups.set(member.dpId, [...(groups.get(member.dpId) ?? []), member.groupName]);
    }
    return groups;
  }

  /** The packages of which a group has said something. Reads the assignments of all groups. */
  async *packagesOf(groupName: string): AsyncGenerator<GroupAssignment> {
    for await (const [, assignment] of this.assignments.list()) {
      if (assignment.groupName === groupName) yield assignment;
    }
  }

  putMember(member: GroupMember): Change {
    return this.members.put(joinKey(member.groupName, member.dpId), member);
  }

  putAssignment(assignment: GroupAssignment): Change {
    return this.assignments.put(joinKey(assignment.packageId, assignment.groupName), assignment);
  }

  putWish(wish: PackageAssignment): Change {
    return this.wishes.put(joinKey(wish.packageId, wish.dpId), wish);
  }

  /** Everything that is said of a group but the group itself. */
  async said(groupName: string): Promise<Change[]> {
    const changes: Change[] = [];
    for await (const [key] of this.members.list({ prefix: `${groupName}/` })) {
      changes.push(this.members.delete(key));
    }
    for await (const { packageId } of this.packagesOf(groupName)) {
      changes.push(this.assignments.delete(joinKey(packageId, groupName)));
    }
    return changes;
  }

  /** No group has anything to do with a package any more. */
  async packageGone(packageId: string): Promise<Change[]> {
    const changes: Change[] = [];
    for (const rows of [this.assignments, this.wishes] as const) {
      const records: RecordStore<unknown> = rows;
      for await (const [key] of records.list({ prefix: `${packageId}/` })) {
        changes.push(records.delete(key));
      }
    }
    return changes;
  }

  /** These DPs are in no group any more, and no group has said anything of them. Reads the whole tables. */
  async distributionPointsGone(isGone: (dpId: string) => boolean): Promise<Change[]> {
    const changes: Change[] = [];
    for (const rows of [this.members, this.wishes] as const) {
      const records: RecordStore<{ readonly dpId: string }> = rows;
      for await (const [key, { dpId }] of records.list()) {
        if (isGone(dpId)) changes.push(records.delete(key));
      }
    }
    return changes;
  }
}
