import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { isSame } from '../../shared/domain/hierarchy-package-work.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { wholePatchOf } from './distribution-point-settings.ts';
import { GroupRows } from './group-rows.ts';
import type { HierarchyManager } from './hierarchy-manager.ts';

/** Changes of one batch: there may be a wish for every package. */
const batchChangeCount = 500;

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

  /**
   * One that is added here is to be welcomed: Hierarchy Manager notifies of it with its row.
   *
   * @param handled goes into a batch after the effects: done again, they change nothing
   */
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

  /**
   * Wakes what could not be acted on before these DPs were known here: what is wanted of them, and DPs
   * that fetch from them. One look through all wishes serves all DPs that came together.
   *
   * @param handled goes into a batch after the effects: done again, they only wake once more
   */
  async welcome(dpIds: ReadonlySet<string>, handled: readonly Change[]): Promise<void> {
    const { store } = this.#components;
    let batch: Change[] = [];
    for await (const change of this.#woken(dpIds)) {
      if (batch.push(change) < batchChangeCount) continue;
      await store.write(batch, { sync: false });
      batch = [];
    }
    await store.write([...batch, ...handled], { sync: false });
  }

  async *#woken(dpIds: ReadonlySet<string>): AsyncGenerator<Change> {
    const { store, notifier, hierarchy, siteCode } = this.#components;
    const groups = new GroupRows(store);
    for (const wishes of [store.records(keySpaces.packageAssignments), groups.wishes]) {
      let lastId = '';
      // By package: each is woken once.
      for await (const [, { dpId, packageId }] of wishes.list()) {
        if (packageId === lastId || !dpIds.has(dpId)) continue;
        lastId = packageId;
        yield notifier.notification('hierarchy-package', packageId);
      }
    }
    let lastName = '';
    for await (const [, { dpId, groupName }] of groups.members.list()) {
      if (groupName === lastName || !dpIds.has(dpId)) continue;
      lastName = groupName;
      yield notifier.notification('distribution-point-group', groupName);
    }
    for await (const [dpId, point] of this.#points.list()) {
      if (point.siteCode !== siteCode || !hasSource(point, dpIds)) continue;
      if (await hierarchy.get(dpId)) continue;
      yield notifier.notification('hierarchy-distribution-point', dpId);
    }
  }

  async #apply(dpId: string): Promise<Change[]> {
    const { hierarchy, siteCode } = this.#components;
    const wanted = await this.#points.get(dpId);
    const present = await hierarchy.get(dpId);
    if (wanted?.siteCode !== siteCode) {
      if (!present) return [];
      await hierarchy.delete(dpId, 'hierarchy');
      return wanted ? this.#report(dpId, lostTo(wanted, siteCode)) : [];
    }
    if (!present) await hierarchy.add(wanted, 'hierarchy');
    else if (!isSame(present, wanted)) await hierarchy.set(wholePatchOf(wanted), 'hierarchy');
    return [];
  }

  #report(dpId: string, reason: string): Change[] {
    const { status } = this.#components;
    return status.message({ messageId: 9006, insertionStrings: [dpId, reason], dpId });
  }

  get #points() {
    return this.#components.store.records(keySpaces.hierarchyDistributionPoints);
  }
}

function hasSource({ pull }: DistributionPoint, sourceIds: ReadonlySet<string>): boolean {
  return pull?.sources.some(({ dpId }) => sourceIds.has(dpId)) ?? false;
}

/** A name is given once in a hierarchy, to the site of which the sites above heard first. */
function lostTo({ siteCode }: DistributionPoint, ownCode: string): string {
  return `it is a distribution point of site ${siteCode} now, so it is none of site ${ownCode} any more. If these are two, add this one again under another name`;
}

const refusals: ReadonlySet<string> = new Set([
  'REQUEST_INVALID',
  'DISTRIBUTION_POINT_EXISTS',
  'DISTRIBUTION_POINT_UNKNOWN',
]);
