import { WaybillError } from '../../shared/domain/errors.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { SiteDefinition, SiteKind, SiteRoute } from '../../shared/domain/site.ts';
import { SiteTree, siteCountMax } from '../../shared/domain/site-tree.ts';
import {
  patchedControls,
  type TransferControlsPatch,
} from '../../shared/domain/transfer-controls-patch.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { GroupRows } from '../hierarchy-manager/group-rows.ts';
import { linksWithout } from '../hierarchy-manager/links-without.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { deletedSiteReason, revocationsOf } from '../revocations/revocation-rows.ts';

/** What commands about sites need. */
export interface SiteCommandsComponents {
  readonly store: Pick<StateStore, 'records' | 'write' | 'settled'>;
  readonly sites: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** How a site is taken out. */
export interface SiteDeletion {
  /** With its packages, too: for a site that will never come back. @default false */
  readonly withPackages?: boolean;
  /** The identity URI of who says so. */
  readonly deletedBy: string;
}

/** How many sites there may be. */
export interface SiteCommandsConfig {
  /** Sites of one hierarchy. @default 500 */
  readonly siteCountMax: number;
}

export const defaultSiteCommandsConfig: SiteCommandsConfig = { siteCountMax };

/** What an administrator changes of a site; what is absent stays. */
export interface SitePatch {
  readonly siteCode: string;
  readonly kind?: SiteKind;
  readonly parentSiteCode?: string;
  readonly address?: string;
  readonly description?: string;
}

/** What an administrator changes of the ways from one site to another; what is absent stays. */
export interface RoutePatch {
  readonly fromSiteCode: string;
  readonly toSiteCode: string;
  /** Replaces all of them; none: it is reached at its own address. */
  readonly addresses?: readonly string[];
  readonly controls?: TransferControlsPatch;
}

/**
 * What an administrator does to the sites of the hierarchy and the ways between them (ADM-3). What a
 * site is, is said at a site above it, for only from there is it taken. One command after another, each
 * one synced batch.
 */
export class SiteCommands {
  readonly #components: SiteCommandsComponents;
  readonly #config: SiteCommandsConfig;
  readonly #queue = new SerialQueue();

  constructor(components: SiteCommandsComponents, config = defaultSiteCommandsConfig) {
    this.#components = components;
    this.#config = config;
  }

  /** @throws SITE_EXISTS, REQUEST_INVALID */
  add(site: SiteDefinition): Promise<SiteDefinition> {
    return this.#inTurn(async (tree) => {
      const { siteCode } = site;
      if (tree.get(siteCode)) throw new WaybillError({ code: 'SITE_EXISTS', siteCode });
      const { siteCountMax } = this.#config;
      if (tree.list().length >= siteCountMax) {
        const expected = `at most ${siteCountMax} sites`;
        throw requestInvalid('site_code', { expected, actual: `${siteCountMax + 1}` });
      }
      requirePlace(tree, site);
      requireParent(site);
      this.#requireAbove(tree, site);
      await this.#write([this.#sites.put(siteCode, site)]);
      return site;
    });
  }

  /**
   * Changes what is said of a site. What a site is and who its parent is must be what its own
   * configuration says; of the site that is asked, that is known.
   *
   * @throws SITE_UNKNOWN, REQUEST_INVALID
   */
  set(patch: SitePatch): Promise<SiteDefinition> {
    return this.#inTurn(async (tree) => {
      const before = requireSite(tree, patch.siteCode);
      const site = { ...before, ...patch };
      this.#requireSameSelf(site);
      requirePlace(tree, site);
      this.#requireAbove(tree, before);
      this.#requireAbove(tree, site);
      const without = tree.list().filter(({ siteCode }) => siteCode !== site.siteCode);
      const after = new SiteTree([...without, site]);
      for (const child of after.childrenOf(site.siteCode)) requireChild(after, child, site);
      await this.#write([this.#sites.put(site.siteCode, site)]);
      return site;
    });
  }

  /**
   * Takes a site out of the hierarchy, with its DPs and all that was assigned to them. Their certificates, and all
   * that the site's authority issued, are nobody's from then on.
   *
   * @throws SITE_UNKNOWN, SITE_IN_USE, REQUEST_INVALID
   */
  delete(
    siteCode: string,
    { withPackages = false, deletedBy }: SiteDeletion,
  ): Promise<SiteDefinition> {
    return this.#inTurn(async (tree) => {
      const site = requireSite(tree, siteCode);
      if (siteCode === this.#components.sites.own.siteCode) {
        const expected = 'another site than the one that is asked';
        throw requestInvalid('site_code', { expected, actual: siteCode });
      }
      this.#requireAbove(tree, site);
      requireNothingBelow(tree, siteCode);
      if (!withPackages) await this.#requireNoPackages(siteCode);
      const dpIds = await this.#dpIdsOf(siteCode);
      await this.#write([
        this.#sites.delete(siteCode),
        ...(await this.#revoked(siteCode, dpIds, deletedBy)),
        ...(await this.#routesOf(siteCode)),
        ...(await this.#pointsOf(siteCode, dpIds)),
        ...(await this.#packagesOf(siteCode)),
        ...(await this.#settingsOf(siteCode)),
        ...(await this.#linksOf(siteCode)),
      ]);
      return site;
    });
  }

  /**
   * Changes the ways from one site to another; once nothing is set of them, there is no route.
   *
   * @throws SITE_UNKNOWN, REQUEST_INVALID
   */
  setRoute(patch: RoutePatch): Promise<SiteRoute> {
    return this.#inTurn(async (tree) => {
      const { fromSiteCode, toSiteCode } = patch;
      if (fromSiteCode === toSiteCode) {
        const expected = `another site than ${fromSiteCode}`;
        throw requestInvalid('to_site_code', { expected, actual: toSiteCode });
      }
      requireSite(tree, fromSiteCode);
      requireSite(tree, toSiteCode);
      const key = joinKey(fromSiteCode, toSiteCode);
      const before = await this.#routes.get(key);
      const route = patchedRoute(before, patch);
      if (route.addresses.length > 0 || route.controls) {
        await this.#write([this.#routes.put(key, route)]);
      } else if (before) await this.#write([this.#routes.delete(key)]);
      return route;
    });
  }

  /** All routes, by the sites they are from and to. */
  async *routes(): AsyncGenerator<SiteRoute> {
    for await (const [, route] of this.#routes.list()) yield route;
  }

  #inTurn<T>(work: (tree: SiteTree) => Promise<T>): Promise<T> {
    return this.#queue.run(async () => {
      // The tree follows what is written a moment later.
      await this.#components.store.settled();
      return work(this.#components.sites.tree);
    });
  }

  #requireSameSelf({ siteCode, kind, parentSiteCode }: SiteDefinition): void {
    const { own } = this.#components.sites;
    if (siteCode !== own.siteCode) return;
    if (kind !== own.kind) {
      throw requestInvalid('kind', {
        expected: `${own.kind}, as this site is configured`,
        actual: kind,
      });
    }
    const parent = own.parent?.siteCode ?? '';
    if (parentSiteCode === parent) return;
    const expected = `${parent || 'none'}, as this site is configured`;
    throw requestInvalid('parent_site_code', { expected, actual: parentSiteCode || 'none' });
  }

  /** @throws REQUEST_INVALID when another site would have to be asked */
  #requireAbove(tree: SiteTree, { siteCode, parentSiteCode }: SiteDefinition): void {
    const { own } = this.#components.sites;
    if (!own.parent || (siteCode !== own.siteCode && tree.isUnder(parentSiteCode, own.siteCode))) {
      return;
    }
    const above = siteCode === own.siteCode ? own.parent.siteCode : parentSiteCode;
    // Its parent may not have said yet where this site stands.
    const top = tree.wayUp(own.siteCode).slice(1).at(-1) ?? own.parent.siteCode;
    const whom = [...new Set([above, top].filter((code) => code !== ''))];
    const expected = `a site below ${own.siteCode}, which is asked`;
    const remedy = `Ask site ${whom.join(' or ')}`;
    throw requestInvalid('site_code', { expected, actual: siteCode, remedy });
  }

  async #requireNoPackages(siteCode: string): Promise<void> {
    const { store } = this.#components;
    for (const space of [keySpaces.packageDefinitions, keySpaces.publishedPackages]) {
      const first = { prefix: siteCode, limit: 1 };
      for await (const [packageId] of store.records<unknown>(space).list(first)) {
        const reason = `expected no package whose source is there; there is ${packageId}. If the site will never come back: waybill site delete ${siteCode} --force`;
        throw new WaybillError({ code: 'SITE_IN_USE', siteCode, reason });
      }
    }
  }

  async #routesOf(siteCode: string): Promise<Change[]> {
    const changes: Change[] = [];
    for await (const [key, route] of this.#routes.list()) {
      if (route.fromSiteCode !== siteCode && route.toSiteCode !== siteCode) continue;
      changes.push(this.#routes.delete(key));
    }
    return changes;
  }

  async #dpIdsOf(siteCode: string): Promise<ReadonlySet<string>> {
    const points = this.#components.store.records(keySpaces.hierarchyDistributionPoints);
    const dpIds = new Set<string>();
    for await (const [dpId, point] of points.list())
      if (point.siteCode === siteCode) dpIds.add(dpId);
    return dpIds;
  }

  async #revoked(
    siteCode: string,
    dpIds: ReadonlySet<string>,
    revokedBy: string,
  ): Promise<readonly Change[]> {
    const { store, clock, sites } = this.#components;
    const at = { store, clock, siteCode: sites.own.siteCode };
    const why = { reason: deletedSiteReason, revokedBy };
    const holders = [`site/${siteCode}`, ...[...dpIds].map((dpId) => `dp/${dpId}`)];
    return (await revocationsOf(at, holders, why)).changes;
  }

  async #pointsOf(siteCode: string, gone: ReadonlySet<string>): Promise<Change[]> {
    const { store } = this.#components;
    const points = store.records(keySpaces.hierarchyDistributionPoints);
    const assignments = store.records(keySpaces.packageAssignments);
    const changes: Change[] = [...gone].map((dpId) => points.delete(dpId));
    for await (const [key, assignment] of assignments.list()) {
      if (assignment.siteCode === siteCode) changes.push(assignments.delete(key));
    }
    changes.push(...(await new GroupRows(store).distributionPointsGone((id) => gone.has(id))));
    return changes;
  }

  /**
   * What administrators said and wanted of its packages. What the site itself said stays, for nobody else
   * may write it; of a site that is gone it counts for nothing.
   */
  async #packagesOf(siteCode: string): Promise<Change[]> {
    const { store } = this.#components;
    const changes: Change[] = [];
    for (const space of [
      keySpaces.packageDefinitions,
      keySpaces.packageAssignments,
      keySpaces.groupAssignments,
      keySpaces.groupWishes,
    ]) {
      const records = store.records<unknown>(space);
      for await (const [key] of records.list({ prefix: siteCode })) {
        changes.push(records.delete(key));
      }
    }
    return changes;
  }

  async #settingsOf(siteCode: string): Promise<Change[]> {
    const settings = this.#components.store.records(keySpaces.componentSettings);
    const changes: Change[] = [];
    for await (const [key] of settings.list({ prefix: `${siteCode}/` })) {
      changes.push(settings.delete(key));
    }
    return changes;
  }

  /** With its DPs it goes out of all links. */
  async #linksOf(siteCode: string): Promise<Change[]> {
    return linksWithout(this.#components.store, { isGoneDp: () => false, siteCode });
  }

  async #write(changes: readonly Change[]): Promise<void> {
    await this.#components.store.write(changes, { sync: true });
  }

  get #sites() {
    return this.#components.store.records(keySpaces.sites);
  }

  get #routes() {
    return this.#components.store.records(keySpaces.routes);
  }
}

function patchedRoute(before: SiteRoute | undefined, patch: RoutePatch): SiteRoute {
  const { fromSiteCode, toSiteCode } = patch;
  const none: SiteRoute = { fromSiteCode, toSiteCode, addresses: [] };
  const { controls: controlsBefore, ...rest } = before ?? none;
  const controls = patchedControls(controlsBefore, patch.controls);
  const addresses = patch.addresses ?? rest.addresses;
  return { ...rest, addresses, ...(controls && { controls }) };
}

/** @throws SITE_IN_USE */
function requireNothingBelow(tree: SiteTree, siteCode: string): void {
  const children = tree.childrenOf(siteCode);
  if (children.length === 0) return;
  const reason = `expected no site below it; there is ${children.join(', ')}`;
  throw new WaybillError({ code: 'SITE_IN_USE', siteCode, reason });
}

function requireSite(tree: SiteTree, siteCode: string): SiteDefinition {
  const site = tree.get(siteCode);
  if (!site) throw new WaybillError({ code: 'SITE_UNKNOWN', siteCode });
  return site;
}

/** @throws REQUEST_INVALID when a site cannot stand where it is put */
function requirePlace(tree: SiteTree, site: SiteDefinition): void {
  const expected =
    site.parentSiteCode === site.siteCode ? 'another site as its parent' : tree.problemOf(site);
  if (expected === undefined) return;
  throw requestInvalid('parent_site_code', { expected, actual: site.parentSiteCode || 'none' });
}

/** The top is there before any other is made known. @throws REQUEST_INVALID for a second one */
function requireParent({ kind, parentSiteCode }: SiteDefinition): void {
  if (parentSiteCode !== '') return;
  if (kind === 'primary') {
    const expected = 'a parent, which a primary site has below a central administration site';
    throw requestInvalid('parent_site_code', {
      expected,
      actual: 'none',
      remedy: 'Name it with --parent',
    });
  }
  const expected = 'a primary or a secondary site, since this hierarchy has its top';
  throw requestInvalid('kind', { expected, actual: kind, remedy: 'Name its parent with --parent' });
}

/** @throws REQUEST_INVALID when a site below could not stay below it */
function requireChild(after: SiteTree, childCode: string, site: SiteDefinition): void {
  const child = after.get(childCode);
  if (!child || after.problemOf(child) === undefined) return;
  const expected = `a kind of site that may be over its child site ${childCode}, a ${child.kind} site`;
  throw requestInvalid('kind', { expected, actual: site.kind });
}
