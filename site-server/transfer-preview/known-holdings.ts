import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { HeldFile } from '../../shared/content-library/library-tasks.ts';
import type { SortedHashes } from '../../shared/package-file/sorted-hashes.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { Holdings } from './lacking-bytes.ts';

/** What reckoning needs. */
export interface KnownHoldingsNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly library: Pick<ContentLibrary, 'getPackage'>;
  readonly packages: Pick<PackageStore, 'statuses'>;
  readonly hierarchyPackages: Pick<HierarchyPackageRows, 'statuses'>;
  /** The files of older versions of this site's packages. */
  readonly versions: {
    filesOf(packageId: string, sourceVersion: number): Promise<SortedHashes | undefined>;
  };
}

/** A package that is known to be installed somewhere. */
export interface InstalledPackage {
  readonly packageId: string;
  readonly installedVersion: number;
}

/** What is known to be installed at each of some DPs, of whatever site; in one walk over the rows. */
export async function installedAt(
  { packages, hierarchyPackages }: Pick<KnownHoldingsNeeds, 'packages' | 'hierarchyPackages'>,
  dpIds: ReadonlySet<string>,
): Promise<ReadonlyMap<string, readonly InstalledPackage[]>> {
  const installed = new Map<string, InstalledPackage[]>();
  for (const statuses of [packages.statuses, hierarchyPackages.statuses]) {
    for await (const [, { packageId, dpId, installedVersion }] of statuses.list()) {
      if (installedVersion === 0 || !dpIds.has(dpId)) continue;
      const here = installed.get(dpId) ?? [];
      installed.set(dpId, here);
      here.push({ packageId, installedVersion });
    }
  }
  return installed;
}

/**
 * What a DP must hold by what is known to be installed there: each file of a package that this site has in
 * the same version, and of the package itself also those of an older version. A DP that lost some of it,
 * or holds something that this site does not know, is reckoned wrong.
 */
export class KnownHoldings implements Holdings, Disposable {
  readonly #store: KnownHoldingsNeeds['store'];
  readonly #contentIds: ReadonlySet<string>;
  readonly #older: SortedHashes | undefined;

  private constructor(
    store: KnownHoldingsNeeds['store'],
    contentIds: ReadonlySet<string>,
    older: SortedHashes | undefined,
  ) {
    this.#store = store;
    this.#contentIds = contentIds;
    this.#older = older;
  }

  static async of(
    needs: KnownHoldingsNeeds,
    packageId: string,
    installed: readonly InstalledPackage[],
  ): Promise<KnownHoldings> {
    const contentIds = new Set<string>();
    for (const one of installed) {
      const version = await needs.library.getPackage(one.packageId);
      if (version?.sourceVersion !== one.installedVersion) continue;
      for (const { contentId } of version.contents) contentIds.add(contentId);
    }
    const own = installed.find((one) => one.packageId === packageId);
    const older = own && (await needs.versions.filesOf(packageId, own.installedVersion));
    return new KnownHoldings(needs.store, contentIds, older);
  }

  get contentIds(): ReadonlySet<string> {
    return this.#contentIds;
  }

  /** Whether nothing is known of what is there. */
  get isEmpty(): boolean {
    return this.#contentIds.size === 0 && this.#older === undefined;
  }

  hasContent(contentId: string): boolean {
    return this.#contentIds.has(contentId);
  }

  async areHeld(files: readonly HeldFile[]): Promise<boolean[]> {
    const held: boolean[] = [];
    for (const { hash } of files) {
      held.push(!this.isEmpty && ((this.#older?.has(hash) ?? false) || (await this.#isUsed(hash))));
    }
    return held;
  }

  [Symbol.dispose](): void {
    this.#older?.[Symbol.dispose]();
  }

  /** Whether one of the contents that are there uses the file. */
  async #isUsed(hash: string): Promise<boolean> {
    if (this.#contentIds.size === 0) return false;
    const references = this.#store.records(keySpaces.libraryReferences);
    const prefix = `${hash}/`;
    for await (const [key] of references.list({ prefix })) {
      if (this.#contentIds.has(key.slice(prefix.length))) return true;
    }
    return false;
  }
}
