import {
  type DistributionPointGroup,
  type GroupMember,
  groupWordOf,
  isMember,
  isWishOfGroup,
} from '../../shared/domain/distribution-point-group.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageAssignment } from '../../shared/domain/hierarchy-package.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';

/** What commands about groups need. */
export interface GroupCommandsComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'groups' | 'assignmentsOf' | 'kept'>;
  readonly packages: Pick<PackageStore, 'turn'>;
  readonly hierarchy: Pick<HierarchyManager, 'requireAnywhere' | 'listAll'>;
  /** Later than all that was said before, here or, as far as it is known here, anywhere. */
  readonly nextMs: () => number;
}

/** How many groups, and DPs in them, there may be. */
export interface GroupCommandsConfig {
  /** Groups of DPs. @default 1_000 */
  readonly groupCountMax: number;
  /** DPs of a group. @default 10_000 */
  readonly groupMemberCountMax: number;
}

/** What an administrator changes of a group; what is absent stays. */
export interface GroupPatch {
  readonly groupName: string;
  readonly description?: string;
}

/** A group as it stands. */
export interface SeenGroup extends DistributionPointGroup {
  /** By name. */
  readonly dpIds: readonly string[];
  /** What it has, by ID. */
  readonly packageIds: readonly string[];
}

/**
 * What an administrator does to groups of DPs, at whatever site (ADM-3): one command after another, each
 * one synced batch. Only who is in which group is written; what follows for a DP, its site concludes.
 */
export class GroupCommands {
  readonly #components: GroupCommandsComponents;
  readonly #config: GroupCommandsConfig;
  readonly #queue = new SerialQueue();

  constructor(components: GroupCommandsComponents, config: GroupCommandsConfig = requestLimits) {
    this.#components = components;
    this.#config = config;
  }

  /** @throws GROUP_EXISTS, DISTRIBUTION_POINT_UNKNOWN, REQUEST_INVALID */
  add(group: DistributionPointGroup, dpIds: readonly string[]): Promise<SeenGroup> {
    return this.#queue.run(async () => {
      const { groupName } = group;
      if (await this.#rows.groups.get(groupName)) {
        throw new WaybillError({ code: 'GROUP_EXISTS', groupName });
      }
      await this.#requireRoom();
      // What was said elsewhere of one of this name, before its deletion was known there, is not meant.
      const leftOver = await this.#rows.said(groupName);
      const joined = await this.#joined(groupName, dpIds, { isNew: true });
      await this.#write([this.#rows.groups.put(groupName, group), ...leftOver, ...joined]);
      return this.get(groupName);
    });
  }

  /** @throws GROUP_UNKNOWN */
  set({ groupName, ...changed }: GroupPatch): Promise<SeenGroup> {
    return this.#queue.run(async () => {
      const group = { ...(await this.#require(groupName)), ...changed };
      await this.#write([this.#rows.groups.put(groupName, group)]);
      return this.get(groupName);
    });
  }

  /**
   * The DPs keep what they have. What the group has said still holds for DPs whose site has not heard of it.
   *
   * @throws GROUP_UNKNOWN
   */
  delete(groupName: string): Promise<SeenGroup> {
    return this.#queue.run(async () => {
      const packageIds: string[] = [];
      for await (const { packageId } of this.#rows.packagesOf(groupName))
        packageIds.push(packageId);
      return this.#inTurnsOf(packageIds.sort(), async () => {
        const group = await this.get(groupName);
        const kept = await this.#kept(groupName);
        const said = await this.#rows.said(groupName);
        await this.#write([this.#rows.groups.delete(groupName), ...kept, ...said]);
        return group;
      });
    });
  }

  /**
   * DPs get what the group has; those that are in it already are passed over.
   *
   * @throws GROUP_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN, REQUEST_INVALID
   */
  join(groupName: string, dpIds: readonly string[]): Promise<SeenGroup> {
    return this.#queue.run(async () => {
      await this.#require(groupName);
      await this.#write(await this.#joined(groupName, dpIds));
      return this.get(groupName);
    });
  }

  /**
   * DPs that leave keep what they have.
   *
   * @param options.isDropping what the group has leaves them, unless another of their groups has it
   * @throws GROUP_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN
   * @throws REQUEST_INVALID when one is not in it: nothing has changed
   */
  leave(
    groupName: string,
    dpIds: readonly string[],
    { isDropping = false } = {},
  ): Promise<SeenGroup> {
    return this.#queue.run(async () => {
      await this.#require(groupName);
      const changes: Change[] = [];
      const leftAtMs = this.#components.nextMs();
      for (const dpId of dpIds) {
        await this.#components.hierarchy.requireAnywhere(dpId);
        const member = await this.#member(groupName, dpId);
        if (!member || !isMember(member)) {
          const expected = `distribution points that are in group ${groupName}`;
          throw requestInvalid('dp_ids', { expected, actual: dpId });
        }
        changes.push(this.#rows.putMember({ ...member, leftAtMs, isDropping }));
      }
      await this.#write(changes);
      return this.get(groupName);
    });
  }

  /** A group as it stands. @throws GROUP_UNKNOWN */
  async get(groupName: string): Promise<SeenGroup> {
    const group = await this.#require(groupName);
    const packageIds: string[] = [];
    for await (const { packageId, intent } of this.#rows.packagesOf(groupName)) {
      if (intent === 'installed') packageIds.push(packageId);
    }
    return { ...group, dpIds: await this.#presentMembers(groupName), packageIds };
  }

  /** All groups, by name. */
  async *list(): AsyncGenerator<SeenGroup> {
    const packages = new Map<string, string[]>();
    for await (const [, { groupName, packageId, intent }] of this.#rows.assignments.list()) {
      if (intent !== 'installed') continue;
      packages.set(groupName, [...(packages.get(groupName) ?? []), packageId]);
    }
    const present = await this.#presentNames();
    for await (const [groupName, group] of this.#rows.groups.list()) {
      const members = await this.#rows.membersOf(groupName);
      const dpIds = members.filter((dpId) => present.has(dpId));
      yield { ...group, dpIds, packageIds: packages.get(groupName) ?? [] };
    }
  }

  /**
   * While nobody else concludes anything of these packages: what this site keeps of them meanwhile would be
   * overwritten by what was read before. Always in the same order, so that two never wait for each other.
   */
  async #inTurnsOf<T>([first, ...others]: readonly string[], work: () => Promise<T>): Promise<T> {
    if (first === undefined) return work();
    return this.#components.packages.turn(first, () => this.#inTurnsOf(others, work));
  }

  /** Of its packages what stands by its word on DPs, and their sites have not concluded yet. */
  async #kept(groupName: string): Promise<Change[]> {
    const { hierarchyPackages } = this.#components;
    const changes: Change[] = [];
    for await (const { packageId } of this.#rows.packagesOf(groupName)) {
      for (const wish of await hierarchyPackages.assignmentsOf(packageId)) {
        if (isWishOfGroup(wish, groupName))
          changes.push(...(await this.#keptWish(wish, groupName)));
      }
    }
    return changes;
  }

  /** What another group has taken off, while this one gave it, would count again without this one. */
  async #keptWish(wish: PackageAssignment, groupName: string): Promise<Change[]> {
    const views = await this.#rows.viewsOn(wish.packageId, wish.dpId);
    const word = groupWordOf(views.filter(({ member }) => member.groupName !== groupName));
    const isTakenOff = wish.intent === 'installed' && word?.intent === 'removed';
    if (!isTakenOff || word.saidAtMs <= wish.wishedAtMs) {
      return this.#components.hierarchyPackages.kept(wish);
    }
    return [this.#rows.putWish({ ...wish, wishedAtMs: word.saidAtMs })];
  }

  /** @param options.isNew nobody is in it yet, whatever rows there are */
  async #joined(
    groupName: string,
    dpIds: readonly string[],
    { isNew = false } = {},
  ): Promise<Change[]> {
    const { hierarchy, nextMs } = this.#components;
    const { groupMemberCountMax } = this.#config;
    const present = new Set(isNew ? [] : await this.#presentMembers(groupName));
    const joinedAtMs = nextMs();
    const changes: Change[] = [];
    for (const dpId of dpIds) {
      await hierarchy.requireAnywhere(dpId);
      const member = isNew ? undefined : await this.#member(groupName, dpId);
      if (member && isMember(member)) continue;
      present.add(dpId);
      const joined = { groupName, dpId, joinedAtMs, leftAtMs: 0, isDropping: false };
      changes.push(this.#rows.putMember(joined));
    }
    if (present.size <= groupMemberCountMax) return changes;
    const expected = `at most ${groupMemberCountMax} distribution points in a group`;
    throw requestInvalid('dp_ids', { expected, actual: `${present.size}` });
  }

  /** A DP that was deleted where nobody knew that it is in the group, is in it no more. */
  async #presentMembers(groupName: string): Promise<string[]> {
    const members = await this.#rows.membersOf(groupName);
    if (members.length === 0) return [];
    const present = await this.#presentNames();
    return members.filter((dpId) => present.has(dpId));
  }

  async #presentNames(): Promise<Set<string>> {
    const names = new Set<string>();
    for await (const { dpId } of this.#components.hierarchy.listAll()) names.add(dpId);
    return names;
  }

  async #requireRoom(): Promise<void> {
    let count = 0;
    for await (const _ of this.#rows.groups.list()) count++;
    const { groupCountMax } = this.#config;
    if (count < groupCountMax) return;
    const expected = `at most ${groupCountMax} groups`;
    throw requestInvalid('group_name', { expected, actual: `${count + 1}` });
  }

  async #require(groupName: string): Promise<DistributionPointGroup> {
    const group = await this.#rows.groups.get(groupName);
    if (!group) throw new WaybillError({ code: 'GROUP_UNKNOWN', groupName });
    return group;
  }

  #member(groupName: string, dpId: string): Promise<GroupMember | undefined> {
    return this.#rows.members.get(joinKey(groupName, dpId));
  }

  async #write(changes: readonly Change[]): Promise<void> {
    if (changes.length > 0) await this.#components.store.write(changes, { sync: true });
  }

  get #rows() {
    return this.#components.hierarchyPackages.groups;
  }
}
