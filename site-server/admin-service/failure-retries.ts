import type { JobAction } from '../../shared/domain/distribution-job.ts';
import { isDamagedCopy, withDamage } from '../../shared/domain/hierarchy-package-work.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import { withUpdateAccepted } from '../../shared/domain/package-processing.ts';
import { isFailed } from '../../shared/domain/package-status.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import { siteOfStatusKey } from '../distribution-manager/hierarchy-package-rows.ts';
import type { ScopeCheck } from './admin-scopes.ts';
import { DeliveryFailures } from './delivery-failures.ts';
import { DistributionTargets, type Target } from './distribution-targets.ts';
import { type DistributionWishNeeds, type WantedAction, wishChanges } from './distribution-wish.ts';
import type { PackageStatusQuery } from './package-requests.ts';

/** What runs again. */
export interface Retried {
  readonly dpIds: string[];
  readonly packageIds: string[];
  /** Sites to which a package is brought again. */
  readonly siteCodes: string[];
  /** Of the DPs those that had not failed themselves: they wait for their site. */
  readonly siteDpIds: string[];
}

/** What of one package runs again. */
interface RetriedPackage {
  /** DPs that had failed. */
  readonly dpIds: readonly string[];
  /** DPs to which it is brought by way of their site. */
  readonly siteDpIds: readonly string[];
  readonly siteCodes: readonly string[];
  /** Its source is read again. */
  readonly isRead: boolean;
}

/** A failed row: of a DP, or with an empty name of its site's own. */
interface FailedRow {
  readonly packageId: string;
  readonly dpId: string;
  readonly siteCode: string;
}

/** Lets what has failed run again (ADM-1): as a wish anew, in one synced batch a package. */
export class FailureRetries {
  readonly #needs: DistributionWishNeeds;
  readonly #targets: DistributionTargets;
  readonly #failures: DeliveryFailures;

  constructor(needs: DistributionWishNeeds) {
    this.#needs = needs;
    this.#targets = new DistributionTargets(needs);
    this.#failures = new DeliveryFailures(needs);
  }

  /** As `retryFailed` of distribution commands. */
  async retry(query: PackageStatusQuery, check: ScopeCheck): Promise<Retried> {
    const failed = new Map<string, FailedRow[]>();
    for await (const row of this.#failedRows(query)) {
      failed.set(row.packageId, [...(failed.get(row.packageId) ?? []), row]);
    }
    await this.#checkRows([...failed.values()].flat(), check);
    const all: (RetriedPackage & { readonly packageId: string })[] = [];
    for (const [packageId, rows] of failed) {
      all.push({ packageId, ...(await this.#retry(packageId, rows)) });
    }
    return toRetried(all);
  }

  /** A source that is read again is the package's; what did not come to a site is tried for all its DPs. */
  async #checkRows(rows: readonly FailedRow[], check: ScopeCheck): Promise<void> {
    const ofSites = rows.filter(({ dpId }) => dpId === '');
    const isSource = ({ packageId, siteCode }: FailedRow) => siteCode === sourceSiteOf(packageId);
    await check({
      dpIds: rows.flatMap(({ dpId }) => (dpId === '' ? [] : [dpId])),
      packageIds: ofSites.filter(isSource).map(({ packageId }) => packageId),
      siteCodes: ofSites.filter((row) => !isSource(row)).map(({ siteCode }) => siteCode),
    });
  }

  async *#failedRows(query: PackageStatusQuery): AsyncGenerator<FailedRow> {
    const { packages, hierarchyPackages, sites } = this.#needs;
    const { siteCode: ownCode } = hierarchyPackages;
    const prefix = query.packageId === undefined ? {} : { prefix: `${query.packageId}/` };
    const { groupName } = query;
    const members = groupName && new Set(await this.#targets.membersOf([groupName]));
    const isMeant = (dpId: string, siteCode: string) =>
      (query.dpId ?? dpId) === dpId &&
      (query.siteCode ?? siteCode) === siteCode &&
      (!members || members.has(dpId));
    for await (const [, { packageId, dpId, state }] of packages.statuses.list(prefix)) {
      if (isFailed(state) && isMeant(dpId, ownCode)) yield { packageId, dpId, siteCode: ownCode };
    }
    for await (const [key, { packageId, dpId, state }] of hierarchyPackages.statuses.list(prefix)) {
      const siteCode = siteOfStatusKey(key);
      const isThere = siteCode !== ownCode && sites.tree.get(siteCode) !== undefined;
      if (isThere && isFailed(state) && isMeant(dpId, siteCode))
        yield { packageId, dpId, siteCode };
    }
    for await (const packageId of this.#failedDeliveries(query)) {
      for (const { siteCode } of await this.#failures.of(packageId)) {
        if (isMeant('', siteCode)) yield { packageId, dpId: '', siteCode };
      }
    }
  }

  /** Packages that may not have come to some site. */
  async *#failedDeliveries({ packageId }: PackageStatusQuery): AsyncGenerator<string> {
    if (packageId !== undefined) return yield packageId;
    const { store, hierarchyPackages } = this.#needs;
    const packageIds = new Set<string>();
    for await (const [, row] of store.records(keySpaces.forwardingFailures).list()) {
      packageIds.add(row.packageId);
    }
    for await (const [, row] of hierarchyPackages.contents.list()) {
      if (row.state === 'refused') packageIds.add(row.packageId);
    }
    yield* packageIds;
  }

  #retry(packageId: string, rows: readonly FailedRow[]): Promise<RetriedPackage> {
    const { packages, store, notifier, clock } = this.#needs;
    return packages.turn(packageId, async () => {
      const sitePackage = await packages.packages.get(packageId);
      if (!sitePackage) return nothingRetried;
      const nowMs = clock.nowMs();
      const changes: Change[] = [];
      const retried: string[] = [];
      const siteCodes: string[] = [];
      const siteDpIds: string[] = [];
      const names = rows.flatMap(({ dpId }) => (dpId === '' ? [] : [dpId]));
      for (const target of await this.#targets.of(packageId, names)) {
        // Looked at again in the package's turn: meanwhile it may have been mended.
        if (!target.intent || !target.status || !isFailed(target.status.state)) continue;
        const action = await this.#actionToRetry(target);
        const wishedAtMs = this.#needs.nextMs();
        changes.push(
          ...wishChanges(this.#needs, sitePackage, { target, action, nowMs, wishedAtMs }),
        );
        retried.push(target.dpId);
      }
      for (const target of await this.#awaitingDelivery(packageId, rows)) {
        siteCodes.push(target.siteCode);
        if (retried.includes(target.dpId)) continue;
        const action = await this.#actionToRetry(target);
        const wishedAtMs = this.#needs.nextMs();
        changes.push(
          ...wishChanges(this.#needs, sitePackage, { target, action, nowMs, wishedAtMs }),
        );
        siteDpIds.push(target.dpId);
      }
      const copy = await this.#ownCopyChanges(packageId, { rows, nowMs });
      if (copy.length > 0) siteCodes.push(this.#needs.hierarchyPackages.siteCode);
      const source = await this.#sourceChanges(sitePackage, { rows, nowMs });
      changes.push(...copy, ...source);
      if (changes.length === 0) return nothingRetried;
      await store.write([...changes, notifier.notification('package', packageId)], { sync: true });
      return { dpIds: retried, siteDpIds, siteCodes, isRead: source.length > 0 };
    });
  }

  /**
   * DPs of sites to which the package did not come, or that hold a damaged copy of it: a wish anew lets
   * its source site send it again.
   */
  async #awaitingDelivery(packageId: string, rows: readonly FailedRow[]): Promise<Target[]> {
    const siteCodes = rows.flatMap(({ dpId, siteCode }) => (dpId === '' ? [siteCode] : []));
    const meant: string[] = [];
    for (const siteCode of siteCodes) {
      if (await this.#isCopyFailed(packageId, siteCode)) meant.push(siteCode);
    }
    const failures = siteCodes.length > 0 ? await this.#failures.of(packageId) : [];
    for (const { siteCode } of failures) if (siteCodes.includes(siteCode)) meant.push(siteCode);
    if (meant.length === 0) return [];
    const wishes = await this.#needs.hierarchyPackages.assignmentsOf(packageId);
    const waiting = wishes.filter((one) => meant.includes(one.siteCode));
    const targets = await this.#targets.of(
      packageId,
      waiting.map(({ dpId }) => dpId),
    );
    return targets.filter(({ intent }) => intent === 'installed');
  }

  /** Looked at again in the package's turn: meanwhile it may have come. */
  async #isCopyFailed(packageId: string, siteCode: string): Promise<boolean> {
    if (siteCode === sourceSiteOf(packageId)) return false;
    const { packages, hierarchyPackages } = this.#needs;
    const isOwn = siteCode === hierarchyPackages.siteCode;
    const status = isOwn
      ? await packages.getStatus(packageId, '')
      : await hierarchyPackages.statuses.get(joinKey(packageId, siteCode, ''));
    return status !== undefined && isFailed(status.state);
  }

  /** What is damaged at this site itself comes again; at another one its own site says so. */
  async #ownCopyChanges(
    packageId: string,
    { rows, nowMs }: { rows: readonly FailedRow[]; nowMs: number },
  ): Promise<Change[]> {
    const { hierarchyPackages } = this.#needs;
    const { siteCode: ownCode } = hierarchyPackages;
    const isMeant = rows.some(({ dpId, siteCode }) => dpId === '' && siteCode === ownCode);
    if (!isMeant || hierarchyPackages.isOwn(packageId)) return [];
    const said = await hierarchyPackages.ownContent(packageId);
    if (!said || !isDamagedCopy(said)) return [];
    const asked = { reason: said.reason, isToCome: true };
    return [hierarchyPackages.putOwnContent(withDamage(said, asked, nowMs))];
  }

  /** A source that was refused is read again, by its own site. */
  async #sourceChanges(
    sitePackage: SitePackage,
    { rows, nowMs }: { rows: readonly FailedRow[]; nowMs: number },
  ): Promise<Change[]> {
    const { packages, hierarchyPackages } = this.#needs;
    const { packageId, sourceSiteCode } = sitePackage;
    if (!rows.some(({ dpId, siteCode }) => dpId === '' && siteCode === sourceSiteCode)) return [];
    if (hierarchyPackages.isOwn(packageId)) {
      const isRefused = sitePackage.state === 'failed';
      return isRefused ? packages.put(withUpdateAccepted(sitePackage, nowMs)) : [];
    }
    const { siteCode } = hierarchyPackages;
    const none = { packageId, siteCode, updateCount: 0, isDeletion: false };
    const asked = (await hierarchyPackages.ownRequests(packageId)) ?? none;
    if (asked.isDeletion) return [];
    return [hierarchyPackages.putOwnRequests({ ...asked, updateCount: asked.updateCount + 1 })];
  }

  async #actionToRetry({ intent, isOwn, status, assignment }: Target): Promise<WantedAction> {
    if (intent === 'removed') return 'remove';
    if (!isOwn) return assignment?.action === 'redistribute' ? 'redistribute' : 'add';
    const history = this.#needs.store.records(keySpaces.jobHistory);
    const failedJob = await history.get(joinKey(status?.jobSerial ?? 0));
    const action: JobAction = failedJob?.action ?? 'add';
    return action === 'redistribute' ? 'redistribute' : 'add';
  }
}

const nothingRetried: RetriedPackage = { dpIds: [], siteDpIds: [], siteCodes: [], isRead: false };

function toRetried(all: readonly (RetriedPackage & { readonly packageId: string })[]): Retried {
  const sorted = (names: readonly string[]) => [...new Set(names)].sort();
  const failed = new Set(all.flatMap(({ dpIds }) => dpIds));
  const siteDpIds = sorted(all.flatMap((one) => one.siteDpIds));
  return {
    dpIds: sorted([...failed, ...siteDpIds]),
    packageIds: sorted(all.flatMap(({ packageId, isRead }) => (isRead ? [packageId] : []))),
    siteCodes: sorted(all.flatMap(({ siteCodes }) => siteCodes)),
    siteDpIds: siteDpIds.filter((dpId) => !failed.has(dpId)),
  };
}
