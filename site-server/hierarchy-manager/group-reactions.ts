import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { GroupRows } from './group-rows.ts';

/** What reacting to groups needs. */
export interface GroupReactionsComponents {
  readonly store: Pick<StateStore, 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly hierarchyPackages: { readonly groups: GroupRows };
}

/** Changes of one batch: a group may have every package. */
const batchChangeCount = 500;

/**
 * Wakes the packages of a group of which something has changed: what follows for the DPs of this site is
 * concluded with each package, in its turn.
 */
export class GroupReactions {
  readonly #components: GroupReactionsComponents;

  constructor(components: GroupReactionsComponents) {
    this.#components = components;
  }

  /** @param handled goes into the last batch: done again, it only wakes once more */
  async bringUpToDate(groupName: string, handled: readonly Change[]): Promise<void> {
    const { store, notifier, hierarchyPackages } = this.#components;
    let batch: Change[] = [];
    for await (const { packageId } of hierarchyPackages.groups.packagesOf(groupName)) {
      if (batch.push(notifier.notification('hierarchy-package', packageId)) < batchChangeCount) {
        continue;
      }
      await store.write(batch, { sync: false });
      batch = [];
    }
    await store.write([...batch, ...handled], { sync: false });
  }
}
