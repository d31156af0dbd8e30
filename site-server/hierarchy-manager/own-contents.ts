import {
  toAwaitedContent,
  toStoredContent,
  withoutContent,
} from '../../shared/domain/hierarchy-package-work.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';

/** What keeping the rows of this site's contents true needs. */
export interface OwnContentsComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly packages: PackageStore;
  readonly hierarchyPackages: HierarchyPackageRows;
  /** The site's content library, which outlives the state store. */
  readonly library: { getPackage(packageId: string): Promise<PackageVersion | undefined> };
  readonly clock: Pick<Clock, 'nowMs'>;
}

/**
 * Makes what this site says it holds of packages of other sites ("site contents") be what its library
 * holds. They differ after damage, after a crash, and when the neighbours give back rows of a store that
 * was lost together with the library: the source site sends by them, so nothing would ever come again.
 */
export class OwnContents {
  readonly #components: OwnContentsComponents;

  constructor(components: OwnContentsComponents) {
    this.#components = components;
  }

  /** @param handled goes into the batch of the effects */
  async bringUpToDate(packageId: string, handled: readonly Change[]): Promise<void> {
    const { packages, store } = this.#components;
    await packages.turn(packageId, async () => {
      const changes = await this.changesOf(packageId);
      await store.write([...changes, ...handled], { sync: false });
    });
  }

  /** None when all is true. Inside a turn of the package, with the write. */
  async changesOf(packageId: string): Promise<Change[]> {
    const { packages, library, notifier } = this.#components;
    const row = await packages.packages.get(packageId);
    const version = await library.getPackage(packageId);
    // One without a row is read back at the next start.
    if (!row && version) return [];
    const said = await this.#said(packageId, version);
    const kept = row && !version && row.sourceVersion > 0 ? await this.#bare(row) : [];
    const isBehind = version !== undefined && version.sourceVersion > (row?.sourceVersion ?? 0);
    if (said.length === 0 && kept.length === 0 && !isBehind) return [];
    return [...said, ...kept, notifier.notification('package', packageId)];
  }

  async #said(packageId: string, version: PackageVersion | undefined): Promise<Change[]> {
    const { hierarchyPackages, clock } = this.#components;
    const { siteCode } = hierarchyPackages;
    const said = await hierarchyPackages.ownContent(packageId);
    const isTrue = (said?.storedVersion ?? 0) === (version?.sourceVersion ?? 0);
    if (isTrue && (said?.storedHash ?? '') === (version?.packageHash ?? '')) return [];
    const nowMs = clock.nowMs();
    const row = said ?? toAwaitedContent({ packageId, siteCode }, nowMs);
    return [hierarchyPackages.putOwnContent(toStoredContent(row, version, nowMs))];
  }

  async #bare(row: SitePackage): Promise<Change[]> {
    const { packages, clock } = this.#components;
    const servers = await packages.serversOf(row.packageId);
    const isWanted = servers.some(({ intent }) => intent === 'installed');
    return packages.put(withoutContent(row, { isWanted, nowMs: clock.nowMs() }));
  }
}
