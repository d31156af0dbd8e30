import { contentNamesOf } from '../../shared/domain/content-location.ts';
import { toStoredContent, withoutContent } from '../../shared/domain/hierarchy-package-work.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { isLeaving } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { ContentDpMap } from '../hierarchy-manager/content-dp-map.ts';
import type { HierarchyPackageRows } from './hierarchy-package-rows.ts';
import type { PackageStore } from './package-store.ts';

/** What ending a package at this site needs. */
export interface PackageEndComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  readonly sites: { readonly tree: SiteTree };
  readonly contentMap: Pick<ContentDpMap, 'allGone'>;
  /** The site's content library, as far as letting go is concerned. */
  readonly library: {
    getPackage(packageId: string): Promise<PackageVersion | undefined>;
    removePackage(packageId: string): Promise<void>;
  };
  /** What was imported, and stays for a while though nobody here is to have it. */
  readonly prestaged?: { isKept(packageId: string): Promise<boolean> };
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
}

/**
 * Lets go of what no DP of this site has any more: a package that is being deleted (PKG-7), and the
 * content of a package of another site. Its own package it keeps until no other site holds anything of
 * it, so that nothing of a package stays where nobody asks for it any more. Each step follows from the
 * rows: after a crash it is done again, with the same end.
 */
export class PackageEnd {
  readonly #components: PackageEndComponents;

  constructor(components: PackageEndComponents) {
    this.#components = components;
  }

  async run(packageId: string): Promise<void> {
    const { packages, hierarchyPackages } = this.#components;
    const sitePackage = await packages.packages.get(packageId);
    if (!sitePackage || (await packages.serversOf(packageId)).length > 0) return;
    if (!hierarchyPackages.isOwn(packageId)) return this.#letGoOfForeign(sitePackage);
    if (isLeaving(sitePackage)) await this.#deleteOwn(sitePackage);
  }

  async #deleteOwn(sitePackage: SitePackage): Promise<void> {
    const { packages, hierarchyPackages, library, logger } = this.#components;
    const { packageId } = sitePackage;
    const holders = await this.#otherHolders(packageId);
    if (holders.length > 0) return this.#waitFor(packageId, holders);
    // Nobody can assign it again: a package that is being deleted takes no more work.
    await library.removePackage(packageId);
    await packages.turn(packageId, async () => {
      const locations = await this.#locationsGone(sitePackage);
      const gone = await hierarchyPackages.allGone(packageId);
      await this.#write([...packages.delete(packageId), ...locations, ...gone]);
    });
    logger.info({ packageId }, 'Deleted package');
  }

  /** Other sites that still hold something of a package, by what they said last. */
  async #otherHolders(packageId: string): Promise<string[]> {
    const { hierarchyPackages, sites } = this.#components;
    const rows = [
      ...(await hierarchyPackages.contentsOf(packageId)),
      ...(await hierarchyPackages.statusesOf(packageId)),
    ];
    const { siteCode } = hierarchyPackages;
    // A site that was taken out of the hierarchy will never say anything more.
    const known = rows.filter((row) => row.siteCode !== siteCode && sites.tree.get(row.siteCode));
    return [...new Set(known.map((row) => row.siteCode))].sort();
  }

  async #waitFor(packageId: string, holders: readonly string[]): Promise<void> {
    const { packages, clock } = this.#components;
    const which = `${holders.length > 1 ? 'sites' : 'site'} ${holders.join(', ')}`;
    const reason = `waits for ${which} to let go of it`;
    await packages.turn(packageId, async () => {
      const row = await packages.packages.get(packageId);
      if (!row || row.reason === reason) return;
      await this.#write(packages.put({ ...row, reason, updatedAtMs: clock.nowMs() }));
    });
  }

  async #letGoOfForeign(sitePackage: SitePackage): Promise<void> {
    const { library } = this.#components;
    const { packageId, sourceVersion } = sitePackage;
    if (!isLeaving(sitePackage) && (await this.#isToStay(packageId))) return;
    const isHeld = sourceVersion > 0 || (await library.getPackage(packageId)) !== undefined;
    if (!isHeld && !isLeaving(sitePackage)) return;
    if (isHeld) await library.removePackage(packageId);
    await this.#components.packages.turn(packageId, () => this.#tellGone(packageId));
  }

  async #isToStay(packageId: string): Promise<boolean> {
    if (await this.#isWishedHere(packageId)) return true;
    return (await this.#components.prestaged?.isKept(packageId)) ?? false;
  }

  /**
   * Whether it is wished for a DP of this site, be it one that is not known here (yet): the source site
   * sends by the wishes, so what was let go of would only come again.
   */
  async #isWishedHere(packageId: string): Promise<boolean> {
    const { hierarchyPackages } = this.#components;
    const wishes = await hierarchyPackages.assignmentsOf(packageId);
    return wishes.some(
      ({ siteCode, intent }) => siteCode === hierarchyPackages.siteCode && intent === 'installed',
    );
  }

  async #tellGone(packageId: string): Promise<void> {
    const { packages, library, logger } = this.#components;
    const row = await packages.packages.get(packageId);
    // Meanwhile it may have come again, for a wish that is newer.
    if (!row || (await library.getPackage(packageId))) return;
    const isLeft = (await packages.serversOf(packageId)).length === 0;
    const isOver = isLeaving(row) && isLeft && !(await this.#isSpokenOf(packageId));
    const kept = isOver ? packages.delete(packageId) : await this.#withoutContent(row);
    const said = isLeaving(row) ? await this.#noMoreSaid(row, isOver) : await this.#saidNone(row);
    const changes = [...kept, ...said, ...(await this.#locationsGone(row))];
    if (changes.length > 0) await this.#write(changes);
    logger.info({ packageId }, 'Let go of a package that no distribution point here is to have');
  }

  /** Whether its source site has not ended its deletion yet, or nobody asked for it. */
  async #isSpokenOf(packageId: string): Promise<boolean> {
    const { hierarchyPackages } = this.#components;
    // A source site that was taken out says nothing any more.
    if (await hierarchyPackages.isSourceGone(packageId)) return false;
    const { definitions, published } = hierarchyPackages;
    const rows = [await published.get(packageId), await definitions.get(packageId)];
    return rows.some((row) => row !== undefined);
  }

  async #withoutContent(row: SitePackage): Promise<Change[]> {
    if (row.sourceVersion === 0) return [];
    const { packages, clock } = this.#components;
    const servers = await packages.serversOf(row.packageId);
    const isWanted = servers.some(({ intent }) => intent === 'installed');
    return packages.put(withoutContent(row, { isWanted, nowMs: clock.nowMs() }));
  }

  async #noMoreSaid({ packageId }: SitePackage, isOver: boolean): Promise<Change[]> {
    const { hierarchyPackages } = this.#components;
    const content = await hierarchyPackages.ownContentGone(packageId);
    // That its deletion was asked for here stands until the source site has ended it.
    return isOver ? [...content, ...(await hierarchyPackages.ownRequestsGone(packageId))] : content;
  }

  async #saidNone({ packageId }: SitePackage): Promise<Change[]> {
    const { hierarchyPackages, clock } = this.#components;
    const said = await hierarchyPackages.ownContent(packageId);
    if (!said) return [];
    const none = { ...toStoredContent(said, undefined, clock.nowMs()), needsFull: false };
    return [hierarchyPackages.putOwnContent(none)];
  }

  #locationsGone(sitePackage: SitePackage): Promise<Change[]> {
    const names = contentNamesOf(sitePackage, sitePackage.packageId);
    return this.#components.contentMap.allGone(names);
  }

  async #write(changes: readonly Change[]): Promise<void> {
    await this.#components.store.write(changes, { sync: true });
  }
}
