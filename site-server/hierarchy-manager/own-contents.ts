import type { SiteContent } from '../../shared/domain/hierarchy-package.ts';
import {
  foreignState,
  isDamagedCopy,
  toAwaitedContent,
  toStoredContent,
  withDamage,
  withoutContent,
} from '../../shared/domain/hierarchy-package-work.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { isForeign, isLeaving } from '../../shared/domain/package-processing.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { ownCopyMended } from '../content-validation/validations-gone.ts';
import type { HierarchyPackageRows } from '../distribution-manager/hierarchy-package-rows.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';

/** What keeping the rows of this site's contents true needs. */
export interface OwnContentsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
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
 * Says, too, that what the library holds is damaged: then its source site sends it again, in full.
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

  /**
   * That files of the version that is stored here are damaged or gone. Nothing of a package that is not
   * of another site, or not stored here. Inside a turn of the package, with the write.
   *
   * @param damage.isToCome its source site is to send all of it again
   */
  async damaged(
    packageId: string,
    damage: { readonly reason: string; readonly isToCome: boolean },
  ): Promise<Change[]> {
    const { packages, hierarchyPackages, clock } = this.#components;
    const row = await packages.packages.get(packageId);
    const said = await hierarchyPackages.ownContent(packageId);
    if (!row || !isForeign(row) || !said || said.storedVersion === 0) return [];
    // What comes already is not asked for again, nor called off.
    if (said.state === 'arriving' || isToCome(said)) return [];
    return [hierarchyPackages.putOwnContent(withDamage(said, damage, clock.nowMs()))];
  }

  /** The same of damage that was met, and that is to be mended; it is on disk when this resolves. */
  async mend(packageId: string, reason: string): Promise<void> {
    const { packages, store } = this.#components;
    await packages.turn(packageId, async () => {
      const changes = await this.damaged(packageId, { reason, isToCome: true });
      if (changes.length > 0) await store.write(changes, { sync: true });
    });
  }

  /** Whether the version that is stored here is damaged, and comes again. */
  async isToCome(packageId: string): Promise<boolean> {
    const said = await this.#components.hierarchyPackages.ownContent(packageId);
    return said !== undefined && isToCome(said);
  }

  /** None when all is true. Inside a turn of the package, with the write. */
  async changesOf(packageId: string): Promise<Change[]> {
    const { packages, library, notifier } = this.#components;
    const row = await packages.packages.get(packageId);
    const version = await library.getPackage(packageId);
    // One without a row is read back at the next start.
    if (!row && version) return [];
    const said = await this.#said(packageId, version);
    const isLost = row !== undefined && !version && row.sourceVersion > 0;
    const kept = isLost ? await this.#bare(row) : await this.#soundness(row);
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

  /** The row says whether what is here is whole; once it is again, the jobs that waited for it go on. */
  async #soundness(row: SitePackage | undefined): Promise<Change[]> {
    if (!row || !isForeign(row) || isLeaving(row) || row.sourceVersion === 0) return [];
    const { packages, hierarchyPackages, clock } = this.#components;
    const servers = await packages.serversOf(row.packageId);
    const isWanted = servers.some(({ intent }) => intent === 'installed');
    const content = await hierarchyPackages.ownContent(row.packageId);
    const next = foreignState(row, { isWanted, content });
    const wasDamaged = row.state !== 'published' && row.sourceVersion >= (row.awaitedVersion ?? 0);
    const isWhole = content?.state === 'stored' && !isDamagedCopy(content);
    const resumed = wasDamaged && isWhole ? await this.#mended(row) : [];
    if (next.state === row.state && next.reason === row.reason) return resumed;
    return [...packages.put({ ...row, ...next, updatedAtMs: clock.nowMs() }), ...resumed];
  }

  /** What was found damaged is whole, and what waited for it goes on. */
  async #mended({ packageId, sourceVersion }: SitePackage): Promise<Change[]> {
    const { store, hierarchyPackages } = this.#components;
    const { siteCode } = hierarchyPackages;
    return [
      ...(await ownCopyMended(store, { packageId, siteCode, sourceVersion })),
      ...(await this.#resumed(packageId)),
    ];
  }

  /** Those that found the content not here begin anew: what is on the DP already does not travel again. */
  async #resumed(packageId: string): Promise<Change[]> {
    const { packages, store, clock } = this.#components;
    const jobs = store.records(keySpaces.distributionJobs);
    const changes: Change[] = [];
    for (const server of await packages.serversOf(packageId)) {
      if (server.intent !== 'installed' || server.action !== 'none') continue;
      const status = await packages.getStatus(packageId, server.dpId);
      const job = await jobs.get(joinKey(status?.jobSerial ?? 0));
      const isWaiting = job?.waitingReason === 'content-not-here';
      if (!isWaiting || job.state === 'suspended') continue;
      changes.push(packages.putServer({ ...server, action: 'add', changedAtMs: clock.nowMs() }));
    }
    return changes;
  }

  async #bare(row: SitePackage): Promise<Change[]> {
    const { packages, clock } = this.#components;
    const servers = await packages.serversOf(row.packageId);
    const isWanted = servers.some(({ intent }) => intent === 'installed');
    return packages.put(withoutContent(row, { isWanted, nowMs: clock.nowMs() }));
  }
}

/** Whether its source site sends all of it again. */
function isToCome({ storedVersion, needsFull, refusedJobId }: SiteContent): boolean {
  return storedVersion > 0 && needsFull && refusedJobId === '';
}
