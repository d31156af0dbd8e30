import {
  outsideOf,
  outsideText,
  type ScopedPoint,
  scopeText,
} from '../../shared/domain/admin-scope.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { type AdminScope, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';

/** What looking at scopes needs. */
export interface AdminScopesComponents {
  readonly hierarchy: Pick<HierarchyManager, 'requireAnywhere'>;
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'siteCode' | 'groups'>;
}

/** What a command is about to change; what is absent, it does not touch. */
export interface IntendedChange {
  readonly dpIds?: readonly string[];
  readonly packageIds?: readonly string[];
  /** Groups that are given something, or whose members change. */
  readonly groupNames?: readonly string[];
  /** Sites at which something is made or written. */
  readonly siteCodes?: readonly string[];
}

/**
 * Looks whether all of a change is in the scope of who asked for it: everything or nothing. To be asked
 * with just what is then written, and before it.
 *
 * @throws SCOPE_EXCEEDED naming what is not
 */
export type ScopeCheck = (change: IntendedChange) => Promise<void>;

/** Of somebody without a scope, and of the site itself. */
export const withoutScope: ScopeCheck = async () => {};

/**
 * Knows what the administrators with a scope may change (docs/trust.md, 7). Which method asks for what is
 * told by `scopePolicy`. Other sites take what was written here without a look at scopes: they would
 * not know who said it.
 */
export class AdminScopes {
  readonly #components: AdminScopesComponents;

  constructor(components: AdminScopesComponents) {
    this.#components = components;
  }

  /** The check that commands of this caller are to make. */
  checkOf({ caller: { identity } }: Pick<CallContext, 'caller'>): ScopeCheck {
    if (identity.kind !== 'admin' || !identity.scope) return withoutScope;
    const { scope } = identity;
    const caller = toIdentityUri(identity);
    return async ({ dpIds = [], ...change }) => {
      const points = await this.#points(scope, dpIds);
      const outside = outsideOf(scope, { ...change, points });
      if (outside.length === 0) return;
      const facts = { caller, scope: scopeText(scope), outside: outsideText(outside) };
      throw new WaybillError({ code: 'SCOPE_EXCEEDED', ...facts });
    };
  }

  /** The same, for what is made or written at this site. @throws SCOPE_EXCEEDED */
  async requireOwnSite(context: Pick<CallContext, 'caller'>): Promise<void> {
    await this.checkOf(context)({ siteCodes: [this.#components.hierarchyPackages.siteCode] });
  }

  async #points(scope: AdminScope, dpIds: readonly string[]): Promise<ScopedPoint[]> {
    if (dpIds.length === 0) return [];
    const members = await this.#membersOf(scope.groupNames);
    const points: ScopedPoint[] = [];
    for (const dpId of new Set(dpIds)) {
      const siteCode = await this.#siteOf(dpId);
      const groupNames = scope.groupNames.filter((name) => members.get(name)?.has(dpId));
      points.push({ dpId, siteCode, groupNames });
    }
    return points;
  }

  async #siteOf(dpId: string): Promise<string | undefined> {
    try {
      return (await this.#components.hierarchy.requireAnywhere(dpId)).siteCode;
    } catch (error) {
      if (isErrorWithCode(error, 'DISTRIBUTION_POINT_UNKNOWN')) return undefined;
      throw error;
    }
  }

  /** Members of a group that is not there count for nothing. */
  async #membersOf(groupNames: readonly string[]): Promise<Map<string, ReadonlySet<string>>> {
    const { groups } = this.#components.hierarchyPackages;
    const members = new Map<string, ReadonlySet<string>>();
    for (const groupName of groupNames) {
      if (!(await groups.groups.get(groupName))) continue;
      members.set(groupName, new Set(await groups.membersOf(groupName)));
    }
    return members;
  }
}
