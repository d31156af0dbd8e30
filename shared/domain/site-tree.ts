import type { SiteDefinition, SiteKind } from './site.ts';

/** What the parent of a site of this kind may be; a primary may have none. */
const parentKinds: Record<SiteKind, readonly SiteKind[]> = {
  'central-administration': [],
  primary: ['central-administration'],
  secondary: ['primary'],
};

/** Longest way from a site to the top: secondary, primary, central administration. */
const depthMax = 3;

/** Sites of one hierarchy. */
export const siteCountMax = 500;

/** Sites that a site below the top makes known below itself: as many secondary sites as a primary site may have. */
export const sitesBelowMax = 250;

/** The hierarchy as its sites are defined: who is whose parent, and the way from one to another. */
export class SiteTree {
  readonly #sites: ReadonlyMap<string, SiteDefinition>;
  /** Counted once: a message may ask for each of its rows. */
  readonly #belowCounts = new Map<string, number>();

  constructor(sites: Iterable<SiteDefinition>) {
    this.#sites = new Map([...sites].map((site) => [site.siteCode, site]));
  }

  get(siteCode: string): SiteDefinition | undefined {
    return this.#sites.get(siteCode);
  }

  get size(): number {
    return this.#sites.size;
  }

  /** The hierarchy with a site as it is said; undefined: without it. */
  with(siteCode: string, site: SiteDefinition | undefined): SiteTree {
    const others = [...this.#sites.values()].filter((one) => one.siteCode !== siteCode);
    return new SiteTree(site ? [...others, site] : others);
  }

  /** All sites, by code. */
  list(): SiteDefinition[] {
    return [...this.#sites.values()].sort((a, b) => (a.siteCode < b.siteCode ? -1 : 1));
  }

  /** The site over this one; undefined at the top and for one that is not known. */
  parentOf(siteCode: string): string | undefined {
    return this.#sites.get(siteCode)?.parentSiteCode || undefined;
  }

  childrenOf(siteCode: string): string[] {
    return this.list()
      .filter(({ parentSiteCode }) => parentSiteCode === siteCode)
      .map((site) => site.siteCode);
  }

  /** Whether a site is `top` or somewhere below it. */
  isUnder(siteCode: string, top: string): boolean {
    return this.wayUp(siteCode).includes(top);
  }

  /** How many sites there are below one. */
  countBelow(top: string): number {
    const known = this.#belowCounts.get(top);
    if (known !== undefined) return known;
    let count = 0;
    for (const siteCode of this.#sites.keys()) {
      if (siteCode !== top && this.isUnder(siteCode, top)) count += 1;
    }
    this.#belowCounts.set(top, count);
    return count;
  }

  /** The site itself, its parent, and so on to the top. */
  wayUp(siteCode: string): string[] {
    const way: string[] = [];
    let next: string | undefined = siteCode;
    for (; next !== undefined && way.length < depthMax; next = this.parentOf(next)) way.push(next);
    return way;
  }

  /**
   * The branch of the hierarchy that a site stands in: the site below the top on its way up, or the top itself.
   * Undefined while that is not known of it, or of a site on its way up.
   */
  branchOf(siteCode: string): string | undefined {
    const way = this.wayUp(siteCode);
    const top = this.#sites.get(way.at(-1) ?? '');
    const isWhole = top?.parentSiteCode === '' && way.every((one) => this.#sites.has(one));
    return isWhole ? (way.at(-2) ?? siteCode) : undefined;
  }

  /**
   * The neighbour that brings something nearer to another site: the child on whose side it is, else
   * the parent. Undefined when it is this site itself, or not in the hierarchy.
   */
  neighbourTowards(from: string, to: string): string | undefined {
    if (from === to || !this.#sites.has(to)) return undefined;
    const way = this.wayUp(to);
    const place = way.indexOf(from);
    return place > 0 ? way[place - 1] : this.parentOf(from);
  }

  /** Why a site cannot be defined like this, as what was expected; undefined when it can. */
  problemOf(site: SiteDefinition): string | undefined {
    const { kind, parentSiteCode } = site;
    if (parentSiteCode === '') {
      return kind === 'secondary'
        ? 'a parent, which is a primary site for a secondary one'
        : undefined;
    }
    if (kind === 'central-administration') return 'no parent, since this kind of site is the top';
    const parent = this.#sites.get(parentSiteCode);
    if (!parent) return `a parent that is known, which site ${parentSiteCode} is not`;
    if (parentKinds[kind].includes(parent.kind)) return undefined;
    return `a parent that is a ${parentKinds[kind].join(' or ')} site, which ${parentSiteCode}, a ${parent.kind} site, is not`;
  }
}

/** A tree of which the places alone are known. */
export function treeOfPlaces(
  places: Iterable<Pick<SiteDefinition, 'siteCode' | 'parentSiteCode'>>,
): Pick<SiteTree, 'wayUp' | 'get' | 'branchOf'> {
  const unknown = { kind: 'primary', address: '', description: '' } as const;
  return new SiteTree([...places].map((place) => ({ ...unknown, ...place })));
}
