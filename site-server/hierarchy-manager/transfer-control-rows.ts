import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { SiteRoute } from '../../shared/domain/site.ts';
import { freeControls, type TransferControls } from '../../shared/domain/transfer-controls.ts';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { type KeySpace, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';

/** What the transfer control rows need. */
export interface TransferControlRowsNeeds {
  readonly store: Pick<StateStore, 'records' | 'onWritten'>;
  readonly arbiter: Pick<TransferArbiter, 'setControls'>;
  readonly siteCode: string;
}

/**
 * Tells the site's arbiter what administrators have set for its DPs, its routes and its links, at the
 * start and with every write (docs/controls.md, 2). Asked which ways a transfer takes. In memory only;
 * writes nothing.
 */
export class TransferControlRows implements Component {
  readonly #needs: TransferControlRowsNeeds;
  readonly #links = new Map<string, TransferLink>();
  /** By DP: the names of the links it is in; asked for often, as by each look at a way. */
  readonly #linksOfDp = new Map<string, Set<string>>();
  readonly #listeners = new Set<() => void>();
  #unsubscribe = () => {};

  constructor(needs: TransferControlRowsNeeds) {
    this.#needs = needs;
  }

  async start(): Promise<void> {
    const { store } = this.#needs;
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    await this.#load(keySpaces.distributionPoints, (_, point) => this.#setDp(point));
    await this.#load(keySpaces.routes, (_, route) => this.#setRoute(route));
    await this.#load(keySpaces.links, (linkName, link) => this.#setLink(linkName, link));
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
  }

  /** Names of the passages that content takes to a DP of this site. */
  passagesToDp(dpId: string): string[] {
    const linkNames = [...(this.#linksOfDp.get(dpId) ?? [])];
    return [`dp/${dpId}`, ...linkNames.map((linkName) => `link/${linkName}`)];
  }

  /** Names of the passages that content takes from this site to another one. */
  passagesToSite(siteCode: string): string[] {
    const links = [...this.#links.values()].filter((link) => link.toSiteCodes.includes(siteCode));
    return [`route/${siteCode}`, ...links.map(({ linkName }) => `link/${linkName}`)];
  }

  /**
   * Calls the listener whenever what is set, or which way something takes, may have changed.
   *
   * @returns ends it
   */
  onChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #load<V>(space: KeySpace<V>, set: (key: string, row: V) => void): Promise<void> {
    for await (const [key, row] of this.#needs.store.records(space).list()) set(key, row);
  }

  #onWritten(changes: readonly Change[]): void {
    let isNews = false;
    for (const change of changes) isNews = this.#take(change) || isNews;
    if (!isNews) return;
    for (const listener of this.#listeners) listener();
  }

  /** @returns whether it is about controls */
  #take(change: Change): boolean {
    const { space, key } = change;
    const row = change.type === 'put' ? change.value : undefined;
    if (space === keySpaces.distributionPoints.name) {
      this.#set(`dp/${key}`, (row as DistributionPoint | undefined)?.controls);
    } else if (space === keySpaces.routes.name) {
      const [fromSiteCode, toSiteCode = ''] = key.split('/');
      if (fromSiteCode !== this.#needs.siteCode) return false;
      this.#set(`route/${toSiteCode}`, (row as SiteRoute | undefined)?.controls);
    } else if (space === keySpaces.links.name) {
      this.#setLink(key, row as TransferLink | undefined);
    } else return false;
    return true;
  }

  #setDp({ dpId, controls }: DistributionPoint): void {
    this.#set(`dp/${dpId}`, controls);
  }

  #setRoute({ fromSiteCode, toSiteCode, controls }: SiteRoute): void {
    if (fromSiteCode === this.#needs.siteCode) this.#set(`route/${toSiteCode}`, controls);
  }

  /** A link of another site is kept by that one. */
  #setLink(linkName: string, link: TransferLink | undefined): void {
    const isOwn = link?.siteCode === this.#needs.siteCode;
    for (const dpId of this.#links.get(linkName)?.dpIds ?? []) this.#leave(dpId, linkName);
    if (link && isOwn) this.#links.set(linkName, link);
    else this.#links.delete(linkName);
    for (const dpId of this.#links.get(linkName)?.dpIds ?? []) this.#join(dpId, linkName);
    this.#set(`link/${linkName}`, isOwn ? link?.controls : undefined);
  }

  #join(dpId: string, linkName: string): void {
    const linkNames = this.#linksOfDp.get(dpId) ?? new Set();
    this.#linksOfDp.set(dpId, linkNames.add(linkName));
  }

  #leave(dpId: string, linkName: string): void {
    const linkNames = this.#linksOfDp.get(dpId);
    linkNames?.delete(linkName);
    if (linkNames?.size === 0) this.#linksOfDp.delete(dpId);
  }

  #set(passage: string, controls: TransferControls | undefined): void {
    this.#needs.arbiter.setControls(passage, controls ?? freeControls);
  }
}
