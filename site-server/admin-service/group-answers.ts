import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits as limits } from '../../shared/domain/request-limits.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { GroupRecord } from '../../shared/rpc/generated/waybill/v1/GroupRecord.ts';
import type { GroupSettings__Output } from '../../shared/rpc/generated/waybill/v1/GroupSettings.ts';
import type { AdminScopes } from './admin-scopes.ts';
import type { GroupCommands, GroupPatch, SeenGroup } from './group-commands.ts';
import { requireDistributionPointId, requireGroupName } from './package-requests.ts';
import { checkedText } from './request-text.ts';

/** Packages a record names. */
const recordPackagesMax = 10_000;

const descriptionRule = { charsMax: limits.descriptionCharsMax, isMultiline: true };

/** What answering about groups needs. */
export interface GroupAnswersComponents {
  readonly groupCommands: GroupCommands;
  readonly scopes: Pick<AdminScopes, 'checkOf'>;
}

/** Answers what administrators ask and say about groups of DPs. */
export class GroupAnswers {
  readonly #commands: GroupCommands;
  readonly #scopes: Pick<AdminScopes, 'checkOf'>;

  constructor(components: GroupAnswersComponents) {
    this.#scopes = components.scopes;
    this.#commands = components.groupCommands;
  }

  methods() {
    const commands = this.#commands;
    return {
      addGroup: async (settings) => {
        const { groupName, description = '' } = toPatch(settings);
        const dpIds = toDpIds(settings.dpIds);
        return toRecord(await commands.add({ groupName, description }, dpIds));
      },
      setGroup: async (settings) => {
        const patch = toPatch(settings);
        if (settings.dpIds.length > 0) {
          const remedy = 'They join, and leave, by commands of their own';
          const actual = `${settings.dpIds.length}`;
          throw requestInvalid('dp_ids', { expected: 'none', actual, remedy });
        }
        return toRecord(await commands.set(patch));
      },
      deleteGroup: async ({ groupName }) => toRecord(await commands.delete(nameOf(groupName))),
      joinGroup: async (request, context) => {
        const { groupName, dpIds } = await this.#membersMeant(request, context);
        return toRecord(await commands.join(groupName, dpIds));
      },
      leaveGroup: async (request, context) => {
        const { groupName, dpIds } = await this.#membersMeant(request, context);
        return toRecord(await commands.leave(groupName, dpIds, { isDropping: request.drop }));
      },
      listGroups: ({ groupName }) => this.#list(groupName),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /** @throws REQUEST_INVALID, SCOPE_EXCEEDED */
  async #membersMeant(
    request: { readonly groupName: string; readonly dpIds: readonly string[] },
    context: CallContext,
  ): Promise<{ groupName: string; dpIds: readonly string[] }> {
    const groupName = nameOf(request.groupName);
    const dpIds = someDpIds(request.dpIds);
    await this.#scopes.checkOf(context)({ groupNames: [groupName], dpIds });
    return { groupName, dpIds };
  }

  async *#list(groupName: string): AsyncGenerator<GroupRecord> {
    if (groupName !== '') yield toRecord(await this.#commands.get(nameOf(groupName)));
    else for await (const group of this.#commands.list()) yield toRecord(group);
  }
}

function nameOf(text: string): string {
  return requireGroupName('group_name', text);
}

function toPatch({ groupName, description }: GroupSettings__Output): GroupPatch {
  return {
    groupName: nameOf(groupName),
    ...(description !== undefined && {
      description: checkedText('description', description, descriptionRule),
    }),
  };
}

function someDpIds(names: readonly string[]): string[] {
  if (names.length > 0) return toDpIds(names);
  throw requestInvalid('dp_ids', { expected: 'at least one distribution point', actual: 'none' });
}

/** @throws REQUEST_INVALID also when a name is given twice: one of them is a slip */
function toDpIds(names: readonly string[]): string[] {
  if (names.length > limits.targetCountMax) {
    const expected = `at most ${limits.targetCountMax} at once`;
    throw requestInvalid('dp_ids', { expected, actual: `${names.length}` });
  }
  const dpIds = new Set<string>();
  for (const [index, name] of names.entries()) {
    const dpId = requireDistributionPointId(`dp_ids[${index}]`, name);
    if (dpIds.has(dpId)) {
      throw requestInvalid('dp_ids', { expected: 'each of them once', actual: quoted(dpId) });
    }
    dpIds.add(dpId);
  }
  return [...dpIds];
}

function toRecord({ groupName, description, dpIds, packageIds }: SeenGroup): GroupRecord {
  return {
    groupName,
    description,
    dpIds: dpIds.slice(0, limits.groupMemberCountMax),
    packageIds: packageIds.slice(0, recordPackagesMax),
  };
}
