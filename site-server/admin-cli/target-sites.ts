import { type PackageStatusRecord, toPackageStatusRecord } from './package-status-record.ts';
import type { Session } from './session.ts';
import { type SiteRecord, toSiteRecord } from './site-record.ts';
import type { TargetsGoal } from './targets-view.ts';

/** What is asked of a package, as far as waiting for it is concerned. */
export interface TargetRequest {
  readonly packageId: string;
  readonly goal: TargetsGoal;
  /** Also where the goal is reached already, something is to happen. */
  readonly isRepair: boolean;
  readonly isMeant: (target: { readonly dpId: string; readonly siteCode: string }) => boolean;
}

/** A site at which it is seen what becomes of some DPs. */
export interface TargetSite {
  readonly session: Session;
  readonly dpIds: readonly string[];
  /** Whose the DPs are. */
  readonly siteOf: (dpId: string) => string;
  /** Rows of before the request, that are no end of it. */
  readonly before: readonly PackageStatusRecord[];
}

/**
 * Where it is seen what becomes of a request: status of a DP comes to its own site, to the sites above
 * that, and to the source site of the package. Of other DPs it is asked at their own site. Made before the
 * request, so that it can be told from what was there; a site that is out of reach is told before anything
 * is asked.
 */
export class TargetSites {
  readonly #session: Session;
  readonly #request: TargetRequest;
  readonly #own: string;
  /** DP → its site, where that is another one than this. */
  readonly #siteOf: ReadonlyMap<string, string>;
  /** Rows before the request; by site, of this one with an empty code. */
  readonly #before: ReadonlyMap<string, readonly PackageStatusRecord[]>;

  private constructor(
    session: Session,
    request: TargetRequest,
    known: {
      own: string;
      siteOf: ReadonlyMap<string, string>;
      before: ReadonlyMap<string, readonly PackageStatusRecord[]>;
    },
  ) {
    this.#session = session;
    this.#request = request;
    this.#own = known.own;
    this.#siteOf = known.siteOf;
    this.#before = known.before;
  }

  /** @throws SITE_UNKNOWN, CommandFailure SITE_ADDRESS_UNKNOWN, and what a site out of reach throws */
  static async look(session: Session, request: TargetRequest): Promise<TargetSites> {
    const { admin } = session;
    const before = new Map([['', await rowsAt(session, request.packageId)]]);
    const own = (await admin.ask('getSite', {})).siteCode;
    const points = await admin.list('listDistributionPoints', {});
    const others = points.filter(({ siteCode }) => siteCode !== own);
    const siteOf = new Map(others.map(({ dpId, siteCode }) => [dpId, siteCode]));
    const meant = new Set(others.filter(request.isMeant).map(({ siteCode }) => siteCode));
    const hidden = meant.size > 0 && !request.packageId.startsWith(own);
    const sites = hidden ? (await admin.list('listSites', {})).map(toSiteRecord) : [];
    for (const siteCode of hidden ? meant : []) {
      if (isUnder(sites, siteCode, own)) continue;
      before.set(siteCode, await rowsAt(await session.atSite(siteCode), request.packageId));
    }
    return new TargetSites(session, request, { own, siteOf, before });
  }

  /** What an earlier request has begun, of what is meant. */
  underWay(states: ReadonlySet<PackageStatusRecord['state']>): string[] {
    const rows = [...this.#before.values()].flat();
    const isMeant = (row: PackageStatusRecord) => row.dpId !== '' && this.#request.isMeant(row);
    return rows.filter((row) => isMeant(row) && states.has(row.state)).map(({ dpId }) => dpId);
  }

  /** Whose a DP is. */
  siteOf(dpId: string): string {
    return this.#siteOf.get(dpId) ?? this.#own;
  }

  /** Where to look for each of these DPs; this site first. */
  async of(dpIds: readonly string[]): Promise<TargetSite[]> {
    const bySite = new Map<string, string[]>();
    for (const dpId of dpIds) {
      const place = this.#placeOf(dpId);
      bySite.set(place, [...(bySite.get(place) ?? []), dpId]);
    }
    const sites: TargetSite[] = [];
    const siteOf = (dpId: string) => this.siteOf(dpId);
    for (const [place, ofSite] of [...bySite].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const session = await this.#session.atSite(place === '' ? undefined : place);
      sites.push({ session, dpIds: ofSite, siteOf, before: this.#beforeAt(place) });
    }
    return sites;
  }

  /** Empty: here. */
  #placeOf(dpId: string): string {
    const siteCode = this.#siteOf.get(dpId);
    if (siteCode === undefined) return '';
    if (this.#before.has(siteCode)) return siteCode;
    // What never was heard of here may go without a word: only its own site knows that it is gone.
    const isHeardOf =
      this.#before.get('')?.some((row) => row.dpId === dpId && !isUnheard(row)) ?? false;
    return this.#request.goal === 'removed' && !isHeardOf ? siteCode : '';
  }

  /**
   * This site says for which DPs something will happen, so a row that stays is no end. Of the others it
   * does not know: there what is installed already is.
   */
  #beforeAt(place: string): readonly PackageStatusRecord[] {
    const rows = this.#before.get(place) ?? [];
    if (place === '' || this.#request.isRepair) return rows;
    return rows.filter(({ state }) => state !== 'installed');
  }
}

/** Nothing is there as far as is known, and its site has said nothing. */
function isUnheard({ isAwaited, state }: PackageStatusRecord): boolean {
  return isAwaited && state === 'install-pending';
}

async function rowsAt({ admin }: Session, packageId: string): Promise<PackageStatusRecord[]> {
  return (await admin.list('listPackageStatus', { packageId })).map(toPackageStatusRecord);
}

/** Whether a site is somewhere below another one. */
function isUnder(sites: readonly SiteRecord[], siteCode: string, top: string): boolean {
  const parents = new Map(sites.map((site) => [site.siteCode, site.parentSiteCode]));
  // No way up is longer than there are sites.
  let next: string | undefined = siteCode;
  for (let left = sites.length; next && left >= 0 && next !== top; left--) next = parents.get(next);
  return next === top;
}
