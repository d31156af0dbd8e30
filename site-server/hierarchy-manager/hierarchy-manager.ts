import type {
  DistributionPoint,
  DistributionPointKind,
} from '../../shared/domain/distribution-point.ts';
import { withoutAnswer } from '../../shared/domain/distribution-point-check.ts';
import {
  type DistributionPointHealth,
  unmeasured,
  withMeasuredRate,
} from '../../shared/domain/distribution-point-health.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { ConfiguredSource } from '../../shared/domain/pull-source.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change } from '../../shared/state-store/state-store.ts';
import {
  type DeletedBy,
  DistributionPointEnd,
  type DistributionPointEndNeeds,
} from './distribution-point-end.ts';
import { lookAgainAt, openJobsOf } from './distribution-point-jobs.ts';
import {
  checkedSettings,
  type DistributionPointPatch,
  type NewDistributionPoint,
  patched,
} from './distribution-point-settings.ts';
import { isOwnLimit } from './own-limit.ts';
import { foreignSource, pullMapChanges } from './pull-settings.ts';

/** What Hierarchy Manager needs. */
export interface HierarchyManagerComponents extends DistributionPointEndNeeds {
  readonly logger: Logger;
}

/** How Hierarchy Manager is tuned. */
export interface HierarchyManagerConfig {
  /** Distribution points of one site. @default 1_000 */
  readonly distributionPointCountMax: number;
}

export const defaultHierarchyManagerConfig: HierarchyManagerConfig = {
  distributionPointCountMax: 1_000,
};

/** An administrator at this site, or the hierarchy: then the other sites know already. */
type WhoSaysSo = 'administrator' | 'hierarchy';

/**
 * Knows the distribution points of the site (ADM-3) and what was measured of them. Called by
 * administrators, Distribution Manager and Package Transfer Manager. Writes the tables
 * "distribution points" (and, for the other sites, "hierarchy distribution points"), "distribution point health" and "pull DP map" (the sources of pull DPs).
 * Deleting a DP tells Distribution Manager and Package Transfer Manager in the same batch: they end
 * what they had begun, and drop what a crash has left of its assignments.
 */
export class HierarchyManager implements Component {
  readonly #components: HierarchyManagerComponents;
  readonly #config: HierarchyManagerConfig;
  readonly #queue = new SerialQueue();
  readonly #kinds = new Map<string, DistributionPointKind>();
  readonly #end: DistributionPointEnd;

  constructor(components: HierarchyManagerComponents, config = defaultHierarchyManagerConfig) {
    this.#components = components;
    this.#config = config;
    this.#end = new DistributionPointEnd(components);
  }

  /** Learns which DPs there are: from then on `kindOf` knows. */
  async start(): Promise<void> {
    for await (const { dpId, kind } of this.list()) this.#kinds.set(dpId, kind);
  }

  async stop(): Promise<void> {}

  /** What kind a DP is; undefined when it is not of this site. Without a read, for decisions. */
  kindOf(dpId: string): DistributionPointKind | undefined {
    return this.#kinds.get(dpId);
  }

  /** The sources of a pull DP, lowest rank first; none of a standard one. */
  async sourcesOf(dpId: string): Promise<ConfiguredSource[]> {
    const sources: ConfiguredSource[] = [];
    for await (const [, source] of this.#pullMap.list({ prefix: `${dpId}/` })) sources.push(source);
    return sources.sort((a, b) => a.rank - b.rank);
  }

  /**
   * Adds a DP to the site.
   *
   * @throws REQUEST_INVALID, DISTRIBUTION_POINT_EXISTS, DISTRIBUTION_POINT_UNKNOWN of a source
   */
  async add(
    settings: NewDistributionPoint,
    from: WhoSaysSo = 'administrator',
  ): Promise<DistributionPoint> {
    const distributionPoint = { ...checkedSettings(settings), siteCode: this.#components.siteCode };
    return this.#queue.run(async () => {
      const { dpId } = distributionPoint;
      const isElsewhere = from === 'administrator' && (await this.#replicated.get(dpId));
      if ((await this.get(dpId)) || isElsewhere) {
        throw new WaybillError({ code: 'DISTRIBUTION_POINT_EXISTS', dpId });
      }
      await this.#requireRoom();
      await this.#requireSources(distributionPoint);
      const told = this.#told(distributionPoint, from);
      await this.#put(undefined, distributionPoint, [...told, ...this.#toWelcome(dpId, from)]);
      this.#components.logger.info({ dpId, address: settings.address }, 'Added distribution point');
      return distributionPoint;
    });
  }

  /**
   * Changes a DP; its open jobs are looked at again, and run as its kind wants it from then on.
   *
   * @throws REQUEST_INVALID, DISTRIBUTION_POINT_UNKNOWN
   */
  set(
    patch: DistributionPointPatch,
    from: WhoSaysSo = 'administrator',
  ): Promise<DistributionPoint> {
    return this.#queue.run(async () => {
      const { store, notifier, logger } = this.#components;
      const existing = await this.require(patch.dpId);
      const distributionPoint = patched(existing, patch);
      if (patch.pull) await this.#requireSources(distributionPoint);
      const known = await openJobsOf(store, patch.dpId);
      const told = this.#told(distributionPoint, from);
      await this.#put(existing, distributionPoint, [...told, ...lookAgainAt(notifier, known)]);
      // Those made meanwhile may have been looked at as jobs of the DP that it was.
      const all = await openJobsOf(store, patch.dpId);
      const others = lookAgainAt(
        notifier,
        all.filter((key) => !known.includes(key)),
      );
      if (others.length > 0) await this.#write(others, { sync: false });
      logger.info({ dpId: patch.dpId }, 'Changed distribution point');
      return distributionPoint;
    });
  }

  /**
   * Takes a DP out of the site, with all that was assigned to it. The DP keeps its files; its certificates are
   * nobody's from then on, whatever is killed when.
   *
   * @param deletedBy the identity URI of the administrator who says so
   * @throws DISTRIBUTION_POINT_UNKNOWN
   */
  async delete(dpId: string, from: 'hierarchy' | DeletedBy): Promise<DistributionPoint> {
    const packageIds = await this.#end.packagesOf(dpId);
    const existing = await this.#queue.run(async () => {
      const distributionPoint = await this.require(dpId);
      const changes = await this.#end.changes(distributionPoint, from, packageIds);
      await this.#write(changes, { sync: true });
      this.#kinds.delete(dpId);
      return distributionPoint;
    });
    await this.#end.unassign(dpId, packageIds);
    this.#components.logger.info({ dpId }, 'Deleted distribution point');
    return existing;
  }

  get(dpId: string): Promise<DistributionPoint | undefined> {
    return this.#points.get(dpId);
  }

  /** Those of these DPs that are of this site, in their order; in one read. */
  async known(dpIds: readonly string[]): Promise<DistributionPoint[]> {
    const found = await this.#points.getMany(dpIds);
    return found.filter((point) => point !== undefined);
  }

  /** @throws DISTRIBUTION_POINT_UNKNOWN */
  async require(dpId: string): Promise<DistributionPoint> {
    const distributionPoint = await this.get(dpId);
    if (!distributionPoint) throw new WaybillError({ code: 'DISTRIBUTION_POINT_UNKNOWN', dpId });
    return distributionPoint;
  }

  /** All DPs of the site, by name. */
  async *list(): AsyncIterable<DistributionPoint> {
    for await (const [, distributionPoint] of this.#points.list()) yield distributionPoint;
  }

  /** What was measured of a DP; of one nobody has met, that it is unknown. */
  async healthOf(dpId: string): Promise<DistributionPointHealth> {
    return (await this.#health.get(dpId)) ?? unmeasured(dpId);
  }

  /** Records what was measured, one measurement after another; of a deleted DP nothing. */
  updateHealth(
    dpId: string,
    change: (health: DistributionPointHealth, nowMs: number) => DistributionPointHealth,
  ): Promise<DistributionPointHealth> {
    return this.#queue.run(async () => {
      const health = change(await this.healthOf(dpId), this.#components.clock.nowMs());
      if (await this.get(dpId))
        await this.#write([this.#health.put(dpId, health)], { sync: false });
      return health;
    });
  }

  /** The DP answered, or did not. Called by Package Transfer Manager when that changes. */
  recordReachability(dpId: string, failureReason?: string): Promise<DistributionPointHealth> {
    return this.updateHealth(dpId, (health, nowMs) =>
      failureReason === undefined
        ? { ...health, reachability: 'reachable', reason: '', checkedAtMs: nowMs }
        : withoutAnswer(health, failureReason, nowMs),
    );
  }

  /** A transfer to the DP went at this rate: tunes the DP's place in the queue. */
  async recordTransferRate(dpId: string, bytesPerSecond: number): Promise<DistributionPointHealth> {
    const isLimited = await isOwnLimit(this.#components, dpId, bytesPerSecond);
    return this.updateHealth(dpId, (health) =>
      withMeasuredRate(health, { bytesPerSecond, isLimited }),
    );
  }

  /** All DPs of the hierarchy, those of this site as this site has them; by name. */
  async *listAll(): AsyncIterable<DistributionPoint> {
    const { siteCode } = this.#components;
    for await (const [dpId, replicated] of this.#replicated.list()) {
      if (replicated.siteCode !== siteCode && !(await this.get(dpId))) yield replicated;
    }
    yield* this.list();
  }

  /**
   * A DP of whatever site.
   *
   * @throws DISTRIBUTION_POINT_UNKNOWN
   */
  async requireAnywhere(dpId: string): Promise<DistributionPoint> {
    const distributionPoint = (await this.get(dpId)) ?? (await this.#replicated.get(dpId));
    if (!distributionPoint) throw new WaybillError({ code: 'DISTRIBUTION_POINT_UNKNOWN', dpId });
    return distributionPoint;
  }

  /** The row for the other sites; from them it came already. */
  #told(point: DistributionPoint, from: WhoSaysSo): Change[] {
    return from === 'administrator' ? [this.#replicated.put(point.dpId, point)] : [];
  }

  /** Of one that another site has added, things may be wanted already. */
  #toWelcome(dpId: string, from: WhoSaysSo): Change[] {
    const { notifier } = this.#components;
    return from === 'hierarchy' ? [notifier.notification('distribution-point-added', dpId)] : [];
  }

  /** What the DP is from now on; its memory follows what is on disk. */
  async #put(
    before: DistributionPoint | undefined,
    point: DistributionPoint,
    others: readonly Change[] = [],
  ): Promise<void> {
    const map = pullMapChanges(this.#components.store, before, point);
    await this.#write([this.#points.put(point.dpId, point), ...map, ...others], { sync: true });
    this.#kinds.set(point.dpId, point.kind);
  }

  /** @throws DISTRIBUTION_POINT_UNKNOWN of a source that is not of this site */
  async #requireSources({ pull }: DistributionPoint): Promise<void> {
    for (const { dpId } of pull?.sources ?? []) {
      if (await this.get(dpId)) continue;
      const { siteCode } = this.#components;
      const source = await this.requireAnywhere(dpId);
      if (source.siteCode !== siteCode) throw foreignSource(siteCode, source);
      await this.require(dpId);
    }
  }

  async #requireRoom(): Promise<void> {
    let count = 0;
    for await (const _ of this.#points.list()) count++;
    const countMax = this.#config.distributionPointCountMax;
    if (count < countMax) return;
    const expected = `at most ${countMax} distribution points at a site`;
    throw requestInvalid('dp_id', { expected, actual: `${count + 1}` });
  }

  #write(changes: readonly Change[], options: { sync: boolean }): Promise<void> {
    return this.#components.store.write(changes, options);
  }

  get #pullMap() {
    return this.#components.store.records(keySpaces.pullDpMap);
  }

  get #points() {
    return this.#components.store.records(keySpaces.distributionPoints);
  }

  /** The DPs of all sites, as administrators define them. */
  get #replicated() {
    return this.#components.store.records(keySpaces.hierarchyDistributionPoints);
  }

  get #health() {
    return this.#components.store.records(keySpaces.distributionPointHealth);
  }
}
