import { newestVersionOf } from '../../shared/domain/package-processing.ts';
import type { ForwardingFailure } from '../../shared/domain/site-delivery.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';

import type { PackageStore } from '../distribution-manager/package-store.ts';

/** What finding them needs. */
export interface DeliveryFailuresComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'siteCode' | 'assignmentsOf' | 'contents'>;
  readonly packages: Pick<PackageStore, 'packages'>;
  readonly sites: { readonly tree: SiteTree };
}

/** A package that could not be brought to a site, where a DP is to have it. */
export interface DeliveryFailure {
  readonly packageId: string;
  /** The site that waits for it. */
  readonly siteCode: string;
  /** Which site could not send, or store it, and why. */
  readonly reason: string;
  readonly failedAtMs: number;
  /** What is there instead; 0: nothing. */
  readonly storedVersion: number;
  readonly targetVersion: number;
}

/**
 * Packages that could not be brought to other sites: the sites on their way say so ("forwarding
 * failures"; the source site among them), or the site itself, of what it could not store ("site
 * contents"). Only as long as a DP of the site is to have the package, and the site does not.
 */
export class DeliveryFailures {
  readonly #components: DeliveryFailuresComponents;

  constructor(components: DeliveryFailuresComponents) {
    this.#components = components;
  }

  /** Of one package, at most one for a site, by site. */
  async of(packageId: string): Promise<DeliveryFailure[]> {
    const { hierarchyPackages, sites } = this.#components;
    const reasons = await this.#reasonsOf(packageId);
    if (reasons.size === 0) return [];
    const wishes = await hierarchyPackages.assignmentsOf(packageId);
    const wanting = wishes.filter(({ intent }) => intent === 'installed');
    const found: DeliveryFailure[] = [];
    for (const siteCode of [...new Set(wanting.map((wish) => wish.siteCode))].sort()) {
      const failure = reasons.get(siteCode);
      const isThere = siteCode !== hierarchyPackages.siteCode && sites.tree.get(siteCode);
      if (failure && isThere) found.push(...(await this.#standing(packageId, siteCode, failure)));
    }
    return found;
  }

  async #standing(
    packageId: string,
    siteCode: string,
    failure: Pick<ForwardingFailure, 'reason' | 'failedAtMs'>,
  ): Promise<DeliveryFailure[]> {
    const { hierarchyPackages, packages } = this.#components;
    const sitePackage = await packages.packages.get(packageId);
    const content = await hierarchyPackages.contents.get(joinKey(packageId, siteCode));
    const storedVersion = content?.storedVersion ?? 0;
    const targetVersion = Math.max(1, sitePackage ? newestVersionOf(sitePackage) : 0);
    const isHeld = storedVersion >= targetVersion && content?.state === 'stored';
    if (isHeld) return [];
    const { reason, failedAtMs } = failure;
    return [{ packageId, siteCode, reason, failedAtMs, storedVersion, targetVersion }];
  }

  async #reasonsOf(packageId: string) {
    const { store, hierarchyPackages } = this.#components;
    const reasons = new Map<string, Pick<ForwardingFailure, 'reason' | 'failedAtMs'>>();
    const prefix = `${packageId}/`;
    for await (const [, content] of hierarchyPackages.contents.list({ prefix })) {
      const { siteCode, state, changedAtMs: failedAtMs } = content;
      if (state !== 'refused') continue;
      const reason = `Site ${siteCode} could not store it: ${content.reason}`;
      reasons.set(siteCode, { reason, failedAtMs });
    }
    const failures = store.records(keySpaces.forwardingFailures);
    for await (const [, row] of failures.list({ prefix })) {
      const { siteCode, finalSiteCode, failedAtMs } = row;
      const reason = `Site ${siteCode} could not send it: ${row.reason}`;
      const known = reasons.get(finalSiteCode);
      if (!known || known.failedAtMs < failedAtMs)
        reasons.set(finalSiteCode, { reason, failedAtMs });
    }
    return reasons;
  }
}
