import { WaybillError } from '../../shared/domain/errors.ts';
import { packageIdCountMax, toPackageId } from '../../shared/domain/package.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import { rowIdOf } from '../replication-manager/replicated-rows.ts';
import type { SiteCountersComponents } from './site-counters.ts';

/** Package IDs left out after damage, for packages that were made and deleted unremembered. */
const idsSkippedAfterDamage = 256;

/**
 * Gives out package IDs, none twice (PKG-1), also when the counter was lost: each is above all packages
 * that this site has published or deleted, as far as any row tells. What any site may write, a definition,
 * is passed over one by one: a single row must not use up all IDs. One for each store.
 */
export class PackageIds {
  readonly #store: StateStore;
  readonly #siteCode: string;
  readonly #counter: SerialCounter;
  /** What the newest known ID is to be passed by, once. */
  #margin: number;

  private constructor(
    { store, siteCode }: SiteCountersComponents,
    counter: SerialCounter,
    margin: number,
  ) {
    this.#store = store;
    this.#siteCode = siteCode;
    this.#counter = counter;
    this.#margin = margin;
  }

  static async open(components: SiteCountersComponents): Promise<PackageIds> {
    const { store, siteCode, isStoreDamaged } = components;
    const margin = isStoreDamaged ? idsSkippedAfterDamage : 0;
    // Kept for the next start, which knows of no damage any more.
    const atLeast = (await newestCount(store, siteCode)) + margin;
    const counter = await SerialCounter.open(store, 'package-ids', { atLeast });
    return new PackageIds(components, counter, margin);
  }

  /**
   * The next ID; `change` must be in the batch that first uses it.
   *
   * @throws PACKAGE_ID_EXHAUSTED
   */
  async next(): Promise<{ readonly packageId: string; readonly change: Change }> {
    // Packages may have been read back, or told of, since the counter was opened.
    const newest = await newestCount(this.#store, this.#siteCode);
    const above = newest + this.#margin;
    this.#margin = 0;
    for (;;) {
      const { value, change } = this.#counter.next({ above });
      if (value > packageIdCountMax) {
        throw new WaybillError({ code: 'PACKAGE_ID_EXHAUSTED', siteCode: this.#siteCode });
      }
      const packageId = toPackageId(this.#siteCode, value);
      if (!(await this.#isDefined(packageId))) return { packageId, change };
    }
  }

  /** Whether the hierarchy knows a package of this ID, or knew one. */
  async #isDefined(packageId: string): Promise<boolean> {
    const definition = await this.#store.records(keySpaces.packageDefinitions).get(packageId);
    if (definition) return true;
    const rowId = rowIdOf({ table: 'package-definitions', key: packageId });
    return (await this.#store.records(keySpaces.rowVersions).get(rowId)) !== undefined;
  }
}

/** The count of the newest package ID of the site in rows that no other site may write; 0: none. */
async function newestCount(store: StateStore, siteCode: string): Promise<number> {
  const publishedOf = rowIdOf({ table: 'published-packages', key: siteCode });
  let newest = 0;
  for (const [space, prefix] of [
    [keySpaces.packages, siteCode],
    // Of what was deleted, too.
    [keySpaces.rowVersions, publishedOf],
  ] as const) {
    const last = { prefix, reverse: true, limit: 1 };
    for await (const [key] of store.records<unknown>(space).list(last)) {
      newest = Math.max(newest, Number.parseInt(key.slice(prefix.length), 16));
    }
  }
  return newest;
}
