import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

/** What looking at ways needs. */
export interface SiteWaysNeeds {
  readonly store: Pick<StateStore, 'records'>;
  readonly sites: { readonly tree: SiteTree };
  readonly siteCode: string;
}

/** One site to the next. */
export interface Hop {
  readonly fromSiteCode: string;
  readonly toSiteCode: string;
}

/** Ended sends that are looked at for what was measured, and those that count. */
const historyCountMax = 1_000;
const measuredCountMax = 5;
/** Less says nothing about a rate. */
const measuredBytesMin = 1_000_000;

/** The ways from site to site, and what is set and known of them. */
export class SiteWays {
  readonly #needs: SiteWaysNeeds;

  constructor(needs: SiteWaysNeeds) {
    this.#needs = needs;
  }

  /**
   * The hops from this site to another one, in their order, as each site on the way would choose them;
   * none when no way is known.
   */
  async hopsTo(siteCode: string): Promise<Hop[]> {
    const { tree } = this.#needs.sites;
    const hops: Hop[] = [];
    for (let here = this.#needs.siteCode; here !== siteCode && hops.length <= tree.size; ) {
      const isDirect = (await this.#route(here, siteCode)) && tree.get(siteCode);
      const next = isDirect ? siteCode : tree.neighbourTowards(here, siteCode);
      if (next === undefined) return [];
      hops.push({ fromSiteCode: here, toSiteCode: next });
      here = next;
    }
    return hops;
  }

  /** What is set for a hop: of its route, and of a link that it shares. */
  async controlsOf({ fromSiteCode, toSiteCode }: Hop) {
    const route = await this.#route(fromSiteCode, toSiteCode);
    const controls = route?.controls ? [route.controls] : [];
    for await (const link of this.#links()) {
      const isShared = link.siteCode === fromSiteCode && link.toSiteCodes.includes(toSiteCode);
      if (isShared) controls.push(link.controls);
    }
    return controls;
  }

  /** The links from this site. */
  async links(): Promise<TransferLink[]> {
    const own: TransferLink[] = [];
    for await (const link of this.#links()) {
      if (link.siteCode === this.#needs.siteCode) own.push(link);
    }
    return own;
  }

  /** What the last sends of this site to another one have reached, in bytes per second; 0: unknown. */
  async measuredTo(siteCode: string): Promise<number> {
    const history = this.#needs.store.records(keySpaces.sendRequestHistory);
    const rates: number[] = [];
    for await (const [, request] of history.list({ reverse: true, limit: historyCountMax })) {
      if (request.destinationSiteCode !== siteCode) continue;
      const rate = rateOf(request);
      if (rate !== undefined) rates.push(rate);
      if (rates.length === measuredCountMax) break;
    }
    rates.sort((a, b) => a - b);
    return rates[Math.floor(rates.length / 2)] ?? 0;
  }

  #route(fromSiteCode: string, toSiteCode: string) {
    const routes = this.#needs.store.records(keySpaces.routes);
    return routes.get(joinKey(fromSiteCode, toSiteCode));
  }

  async *#links(): AsyncGenerator<TransferLink> {
    for await (const [, link] of this.#needs.store.records(keySpaces.links).list()) yield link;
  }
}

/** Of a send that went through at the first try: others tell of waits, too. */
function rateOf(request: SendRequest): number | undefined {
  const { state, tryCount, file, startedAtMs, finishedAtMs } = request;
  const tookMs = finishedAtMs - startedAtMs;
  const isTelling = state === 'complete' && tryCount === 1 && file.fileBytes >= measuredBytesMin;
  return isTelling && tookMs > 0 ? Math.round((file.fileBytes * 1000) / tookMs) : undefined;
}
