import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { isSame } from '../../shared/domain/hierarchy-package-work.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import type { HierarchyManager } from './hierarchy-manager.ts';

/** What bringing the DPs of this site up to date needs. */
export interface HierarchyDistributionPointsComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly hierarchy: Pick<HierarchyManager, 'get' | 'add' | 'set' | 'delete'>;
  readonly status: StatusReporter;
  readonly siteCode: string;
  readonly logger: Logger;
}

/**
 * Makes what administrators at other sites say of DPs of this site true here, through Hierarchy
 * Manager, which checks it like any other. What cannot be is reported, and left as it is.
 */
export class HierarchyDistributionPoints {
  readonly #components: HierarchyDistributionPointsComponents;

  constructor(components: HierarchyDistributionPointsComponents) {
    this.#components = components;
  }

  /** @param handled goes into a batch after the effects: done again, they change nothing */
  async bringUpToDate(dpId: string, handled: readonly Change[]): Promise<void> {
    const { store, logger } = this.#components;
    const changes: Change[] = [];
    try {
      changes.push(...(await this.#apply(dpId)));
    } catch (error) {
      const isRefusal = error instanceof WaybillError && refusals.has(error.code);
      if (!isRefusal) throw error;
      logger.warn({ dpId, err: error }, 'Refused what another site says of a distribution point');
      changes.push(...this.#report(dpId, error.message));
    }
    await store.write([...changes, ...handled], { sync: true });
  }

  async #apply(dpId: string): Promise<Change[]> {
    const { hierarchy, siteCode } = this.#components;
    const wanted = await this.#points.get(dpId);
    const present = await hierarchy.get(dpId);
    if (wanted?.siteCode !== siteCode) {
      if (present) await hierarchy.delete(dpId, 'hierarchy');
      return [];
    }
    if (!present) return this.#add(wanted);
    if (!isSame(present, wanted)) await hierarchy.set(wanted, 'hierarchy');
    return [];
  }

  async #add(wanted: DistributionPoint): Promise<Change[]> {
    const { hierarchy } = this.#components;
    await hierarchy.add(wanted, 'hierarchy');
    // What was wanted of it before it was known here, and DPs that could not be without it.
    return [...(await this.#wishes(wanted.dpId)), ...(await this.#pullingFrom(wanted.dpId))];
  }

  async #wishes(dpId: string): Promise<Change[]> {
    const { store, notifier } = this.#components;
    const changes: Change[] = [];
    for await (const [, wish] of store.records(keySpaces.packageAssignments).list()) {
      if (wish.dpId !== dpId) continue;
      changes.push(notifier.notification('hierarchy-package', wish.packageId));
    }
    return changes;
  }

  async #pullingFrom(sourceId: string): Promise<Change[]> {
    const { notifier, hierarchy, siteCode } = this.#components;
    const changes: Change[] = [];
    for await (const [dpId, point] of this.#points.list()) {
      const isMeant = point.siteCode === siteCode && hasSource(point, sourceId);
      if (!isMeant || (await hierarchy.get(dpId))) continue;
      changes.push(notifier.notification('hierarchy-distribution-point', dpId));
    }
    return changes;
  }

  #report(dpId: string, reason: string): Change[] {
    const { status } = this.#components;
    return status.message({ messageId: 9006, insertionStrings: [dpId, reason], dpId });
  }

  get #points() {
    return this.#components.store.records(keySpaces.hierarchyDistributionPoints);
  }
}

function hasSource({ pull }: DistributionPoint, sourceId: string): boolean {
  return pull?.sources.some(({ dpId }) => dpId === sourceId) ?? false;
}

const refusals: ReadonlySet<string> = new Set([
  'REQUEST_INVALID',
  'DISTRIBUTION_POINT_EXISTS',
  'DISTRIBUTION_POINT_UNKNOWN',
]);
