import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { assignmentsGone } from '../hierarchy-manager/assignments-gone.ts';
import {
  checkedSettings,
  type DistributionPointPatch,
  type NewDistributionPoint,
  patched,
} from '../hierarchy-manager/distribution-point-settings.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import { linksWithout } from '../hierarchy-manager/links-without.ts';
import { foreignSource } from '../hierarchy-manager/pull-settings.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { deletedDpReason, revocationsOf } from '../revocations/revocation-rows.ts';
import { requireOwnerSay } from './owner-say.ts';

/** What commands about DPs need. */
export interface DistributionPointCommandsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly hierarchy: HierarchyManager;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
}

/**
 * What an administrator does to DPs of whatever site (ADM-3, ROLE-4). Of this site, Hierarchy Manager
 * does it; of another, the row is written that its site acts on, checked as far as this site knows. That
 * one is gone, or has another address, is said at its own site or above it.
 */
export class DistributionPointCommands {
  readonly #components: DistributionPointCommandsComponents;
  readonly #queue = new SerialQueue();

  constructor(components: DistributionPointCommandsComponents) {
    this.#components = components;
  }

  /**
   * @param siteCode undefined: this site
   * @throws REQUEST_INVALID, SITE_UNKNOWN, DISTRIBUTION_POINT_EXISTS, DISTRIBUTION_POINT_UNKNOWN
   */
  async add(settings: NewDistributionPoint, siteCode?: string): Promise<DistributionPoint> {
    const { hierarchy, sites } = this.#components;
    const ofSite = siteCode ?? sites.own.siteCode;
    this.#requireSiteWithDps(ofSite);
    const point = { ...checkedSettings(settings), siteCode: ofSite };
    const { dpId } = point;
    return this.#queue.run(async () => {
      await this.#requireNoTwin(dpId);
      if (ofSite === sites.own.siteCode) return hierarchy.add(settings);
      if ((await hierarchy.get(dpId)) || (await this.#points.get(dpId))) {
        throw new WaybillError({ code: 'DISTRIBUTION_POINT_EXISTS', dpId });
      }
      return this.#put(point);
    });
  }

  /** @throws REQUEST_INVALID, DISTRIBUTION_POINT_UNKNOWN */
  async set(patch: DistributionPointPatch, siteCode?: string): Promise<DistributionPoint> {
    const { hierarchy } = this.#components;
    const existing = await hierarchy.requireAnywhere(patch.dpId);
    if (siteCode !== undefined && siteCode !== existing.siteCode) {
      const expected = `${existing.siteCode}, the site it is of`;
      throw requestInvalid('site_code', { expected, actual: siteCode });
    }
    if (patch.kind === 'pull') await this.#requireNoLink(patch.dpId);
    if (await hierarchy.get(patch.dpId)) return hierarchy.set(patch);
    return this.#queue.run(async () => {
      const before = await hierarchy.requireAnywhere(patch.dpId);
      const point = patched(before, patch);
      if (point.address !== before.address) this.#requireSay(before);
      return this.#put(point);
    });
  }

  /**
   * Takes a DP out, and makes its certificates nobody's.
   *
   * @param deletedBy the identity URI of who says so
   * @throws DISTRIBUTION_POINT_UNKNOWN, REQUEST_INVALID
   */
  async delete(dpId: string, deletedBy: string): Promise<DistributionPoint> {
    const { hierarchy, store } = this.#components;
    if (await hierarchy.get(dpId)) return hierarchy.delete(dpId, { deletedBy });
    return this.#queue.run(async () => {
      const existing = await hierarchy.requireAnywhere(dpId);
      this.#requireSay(existing);
      const isGoneDp = (one: string) => one === dpId;
      const changes = [
        this.#points.delete(dpId),
        ...(await assignmentsGone(store, dpId)),
        ...(await linksWithout(store, { isGoneDp })),
        ...(await this.#revoked(dpId, deletedBy)),
      ];
      await store.write(changes, { sync: true });
      return existing;
    });
  }

  /** Of two names that differ by case alone, one was meant as the other. @throws DISTRIBUTION_POINT_EXISTS */
  async #requireNoTwin(dpId: string): Promise<void> {
    for await (const { dpId: existing } of this.#components.hierarchy.listAll()) {
      if (existing === dpId || existing.toLowerCase() !== dpId.toLowerCase()) continue;
      throw new WaybillError({ code: 'DISTRIBUTION_POINT_EXISTS', dpId: existing });
    }
  }

  #requireSay({ dpId: name, siteCode }: DistributionPoint): void {
    requireOwnerSay(this.#components.sites, { name, siteCode });
  }

  async #revoked(dpId: string, revokedBy: string): Promise<readonly Change[]> {
    const { store, clock, sites } = this.#components;
    const { siteCode } = sites.own;
    const why = { reason: deletedDpReason, revokedBy };
    return (await revocationsOf({ store, clock, siteCode }, [`dp/${dpId}`], why)).changes;
  }

  async #put(point: DistributionPoint): Promise<DistributionPoint> {
    for (const { dpId } of point.pull?.sources ?? []) {
      const source = await this.#components.hierarchy.requireAnywhere(dpId);
      if (source.siteCode !== point.siteCode) throw foreignSource(point.siteCode, source);
    }
    await this.#components.store.write([this.#points.put(point.dpId, point)], { sync: true });
    return point;
  }

  /** A pull DP keeps its limit itself, and shares none. */
  async #requireNoLink(dpId: string): Promise<void> {
    const links = this.#components.store.records(keySpaces.links);
    for await (const [linkName, { dpIds }] of links.list()) {
      if (!dpIds.includes(dpId)) continue;
      const expected = `standard, as long as it is in link ${linkName}`;
      const remedy = `"waybill link set ${linkName} --dp" says who is in it`;
      throw requestInvalid('kind', { expected, actual: 'pull', remedy });
    }
  }

  #requireSiteWithDps(siteCode: string): void {
    const { tree } = this.#components.sites;
    const site = tree.get(siteCode);
    if (!site) throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode });
    if (site.kind !== 'central-administration') return;
    const others = tree.list().filter(({ kind }) => kind !== 'central-administration');
    const codes = others.map((other) => other.siteCode).join(', ') || 'there is none yet';
    const expected = `a primary or secondary site (${codes})`;
    const actual = `${siteCode}, a central administration site, which has no distribution points`;
    throw requestInvalid('site_code', { expected, actual });
  }

  get #points() {
    return this.#components.store.records(keySpaces.hierarchyDistributionPoints);
  }
}
