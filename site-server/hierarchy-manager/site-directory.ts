import type {
  SiteDefinition,
  SiteIdentity,
  SiteKind,
  SiteRoute,
} from '../../shared/domain/site.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { joinKey, type KeySpace, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What the site directory needs. */
export interface SiteDirectoryComponents {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  /** This site, as its configuration says. */
  readonly own: OwnSite;
}

/** This site, as its configuration says. */
export interface OwnSite {
  readonly siteCode: string;
  readonly kind: SiteKind;
  /** Absent at the top. */
  readonly parent?: { readonly siteCode: string; readonly address: string };
}

/**
 * The sites of the hierarchy as this site knows them, in memory: the tables "sites", "site
 * identities" and "routes", kept up with every write. Asked by whoever looks for a neighbour or a
 * way; writes nothing.
 */
export class SiteDirectory implements Component {
  readonly own: OwnSite;
  readonly #store: SiteDirectoryComponents['store'];
  readonly #sites = new Map<string, SiteDefinition>();
  readonly #identities = new Map<string, SiteIdentity>();
  readonly #routes = new Map<string, SiteRoute>();
  #tree: SiteTree | undefined;
  #unsubscribe = () => {};

  constructor({ store, own }: SiteDirectoryComponents) {
    this.#store = store;
    this.own = own;
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#store.onWritten((changes) => this.#onWritten(changes));
    await this.#load(keySpaces.sites, this.#sites);
    await this.#load(keySpaces.siteIdentities, this.#identities);
    await this.#load(keySpaces.routes, this.#routes);
    this.#tree = undefined;
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
  }

  /** The hierarchy as it is now; this site is in it even before anybody defined it. */
  get tree(): SiteTree {
    this.#tree ??= new SiteTree([...this.#sites.values(), this.#ownDefinition()]);
    return this.#tree;
  }

  /** What a site says of itself; undefined before it has. */
  identityOf(siteCode: string): SiteIdentity | undefined {
    return this.#identities.get(siteCode);
  }

  /** What the other sites of the hierarchy say of themselves, of those that have. */
  identitiesOfOthers(): SiteIdentity[] {
    return [...this.#identities.values()].filter(
      ({ siteCode }) => siteCode !== this.own.siteCode && this.tree.get(siteCode) !== undefined,
    );
  }

  /** Whether an administrator named the ways from this site to that one; limits alone name none. */
  hasRouteTo(siteCode: string): boolean {
    return this.#routeAddresses(siteCode).length > 0;
  }

  /** host:port of another site's server, in the order in which they are tried. */
  addressesOf(siteCode: string): readonly string[] {
    const addresses = this.#routeAddresses(siteCode);
    if (addresses.length > 0) return addresses;
    const { parent } = this.own;
    const known = [
      ...(parent?.siteCode === siteCode ? [parent.address] : []),
      this.#identities.get(siteCode)?.address,
      this.#sites.get(siteCode)?.address,
    ];
    return [
      ...new Set(known.filter((address) => address !== undefined && address !== '')),
    ] as string[];
  }

  #routeAddresses(siteCode: string): readonly string[] {
    return this.#routes.get(joinKey(this.own.siteCode, siteCode))?.addresses ?? [];
  }

  #ownDefinition(): SiteDefinition {
    const { siteCode, kind, parent } = this.own;
    const parentSiteCode = parent?.siteCode ?? '';
    // Its place is what its configuration says, whatever is said elsewhere.
    const said = this.#sites.get(siteCode) ?? { address: '', description: '' };
    return { ...said, siteCode, kind, parentSiteCode };
  }

  async #load<V>(space: KeySpace<V>, rows: Map<string, V>): Promise<void> {
    for await (const [key, value] of this.#store.records(space).list()) rows.set(key, value);
  }

  #onWritten(changes: readonly Change[]): void {
    for (const change of changes) {
      const rows = this.#rowsOf(change.space);
      if (!rows) continue;
      if (change.type === 'put') rows.set(change.key, change.value);
      else rows.delete(change.key);
      this.#tree = undefined;
    }
  }

  #rowsOf(space: string): Map<string, unknown> | undefined {
    if (space === keySpaces.sites.name) return this.#sites;
    if (space === keySpaces.siteIdentities.name) return this.#identities;
    return space === keySpaces.routes.name ? this.#routes : undefined;
  }
}
