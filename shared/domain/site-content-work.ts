import { isWishOfGroup } from './distribution-point-group.ts';
import type { PackageAssignment, SiteContent } from './hierarchy-package.ts';
import type { MiniJob } from './send-request.ts';
import type { ForwardingFailure, SiteDelivery, SiteDeliveryResult } from './site-delivery.ts';

/** What the administrators want of a package at a site, all its DPs together. */
export interface SiteWish {
  /** The newest wish of each DP: a part of its ID. Times of several sites compare badly. */
  readonly wishes: Readonly<Record<string, string>>;
  /** The DPs of those that ask for the whole package again. */
  readonly redistributed: ReadonlySet<string>;
}

/** All that the decision about one site rests on; read in one turn of the package. */
export interface SiteContentRows {
  /** The newest published version; 0: none, or the package is being deleted. */
  readonly sourceVersion: number;
  readonly packageHash: string;
  /** Absent when no DP of the site is to have the package. */
  readonly wish: SiteWish | undefined;
  /** What the site says it holds. */
  readonly content: SiteContent | undefined;
  readonly delivery: SiteDelivery | undefined;
  /** The mini-job of `delivery`, while it is open. */
  readonly openJob:
    | Pick<MiniJob, 'jobId' | 'sourceVersion' | 'baseVersion' | 'packageHash'>
    | undefined;
  readonly result: SiteDeliveryResult | undefined;
  /** What a site in between says of the mini-job of `delivery`. */
  readonly failure: Pick<ForwardingFailure, 'mayRepeat'> | undefined;
  /** Whether a delta against this version can be made here. */
  readonly hasVersion: (sourceVersion: number) => boolean;
}

/** What Distribution Manager does about a package and another site. */
export type SiteContentWork =
  | { readonly kind: 'nothing' }
  /** Nothing is to be sent: an open mini-job ends, and what was sent before does not matter. */
  | { readonly kind: 'forget' }
  /** A mini-job for the newest version; it takes the place of the open one, if there is one. */
  | { readonly kind: 'create'; readonly baseVersion: number; readonly repeatCount: number };

/** How many versions back a delta may build on (REP-2). */
export const deltaStepsMax = 5;

/** How often a version is sent again by itself to a site that took it and then has it not. */
export const deliveryRepeatsMax = 2;

/** Of the ID of a wish: enough to tell a wish from the one before of the same DP. */
const wishIdCharsKept = 12;

const nothing: SiteContentWork = { kind: 'nothing' };

/** The work that is due, from the rows alone: asked twice, it answers the same. */
export function siteContentWork(rows: SiteContentRows): SiteContentWork {
  const { openJob, sourceVersion, wish, content } = rows;
  const { delivery, result } = rows;
  if (!wish || sourceVersion === 0 || holds(rows)) return delivery ? { kind: 'forget' } : nothing;
  if (openJob) return isOutdated(openJob, rows) ? create(rows) : nothing;
  if (!delivery || !result || delivery.sourceVersion !== sourceVersion) return create(rows);
  const wasDelta = delivery.baseVersion > 0;
  if (wasDelta && (content?.needsFull || result.outcome === 'not-made')) return create(rows, 0);
  const mayRepeat =
    result.outcome === 'stale' || rows.failure?.mayRepeat === true || isLost(delivery, content);
  if (mayRepeat && delivery.repeatCount < deliveryRepeatsMax) {
    return create(rows, baseVersionFor(rows), delivery.repeatCount + 1);
  }
  return isRefused(delivery, result, rows)
    ? afterRefusal(rows, delivery, wish)
    : afterDelivery(rows, delivery, result, wish);
}

/**
 * Whether the site says that it holds the very version of the open job: then that was delivered, even
 * if what the receiver says overtook the end of the send here, or a newer version is due by now.
 */
export function isJobDelivered({
  openJob,
  content,
}: Pick<SiteContentRows, 'openJob' | 'content'>): boolean {
  if (!openJob || !content || content.needsFull) return false;
  const { storedVersion, storedHash } = content;
  return storedVersion === openJob.sourceVersion && storedHash === openJob.packageHash;
}

/** The version a package file for the site builds on; 0: a full one. */
export function baseVersionFor(
  rows: Pick<SiteContentRows, 'content' | 'sourceVersion' | 'hasVersion'>,
): number {
  const { content, sourceVersion, hasVersion } = rows;
  if (!content || content.needsFull || content.storedVersion === 0) return 0;
  const steps = sourceVersion - content.storedVersion;
  const isNear = steps >= 1 && steps <= deltaStepsMax;
  return isNear && hasVersion(content.storedVersion) ? content.storedVersion : 0;
}

/** What the assignments of a package want at each site; removals and DPs that are gone left out. */
export function siteWishes(
  assignments: Iterable<PackageAssignment>,
  siteOfDp: (dpId: string) => string | undefined,
): Map<string, SiteWish> {
  const sites = new Map<string, { wishes: Record<string, string>; redistributed: Set<string> }>();
  for (const wish of assignments) {
    const { dpId, intent, action } = wish;
    const siteCode = siteOfDp(dpId);
    if (siteCode === undefined || intent !== 'installed') continue;
    const site = sites.get(siteCode) ?? { wishes: {}, redistributed: new Set() };
    sites.set(siteCode, site);
    site.wishes[dpId] = partOfId(wish);
    if (action === 'redistribute') site.redistributed.add(dpId);
  }
  return sites;
}

/** Of a UUID the beginning; of a wish that follows from a group the end, which says when: all of its words begin alike. */
function partOfId(wish: PackageAssignment): string {
  const { wishId } = wish;
  return isWishOfGroup(wish) ? wishId.slice(-wishIdCharsKept) : wishId.slice(0, wishIdCharsKept);
}

function holds({ content, sourceVersion, packageHash }: SiteContentRows): boolean {
  if (!content || content.needsFull) return false;
  if (content.storedVersion !== sourceVersion) return content.storedVersion > sourceVersion;
  return content.storedHash === packageHash;
}

/** Whether what is on its way is not what the site can use any more. */
function isOutdated(
  openJob: NonNullable<SiteContentRows['openJob']>,
  { sourceVersion, content }: SiteContentRows,
): boolean {
  if (openJob.sourceVersion !== sourceVersion) return true;
  if (openJob.baseVersion === 0) return false;
  return content?.needsFull === true || content?.storedVersion !== openJob.baseVersion;
}

/** The receiver could not store it, and what was wrong was not what came. */
function isLost({ jobId }: SiteDelivery, content: SiteContent | undefined): boolean {
  const isAtRest = content?.state === 'none' || content?.state === 'stored';
  return isAtRest && content.refusedJobId === jobId;
}

function isRefused(
  { jobId }: SiteDelivery,
  { outcome }: SiteDeliveryResult,
  { content, failure }: SiteContentRows,
): boolean {
  if (outcome !== 'delivered' && outcome !== 'overtaken') return true;
  if (failure) return true;
  return content?.state === 'refused' && content.refusedJobId === jobId;
}

/** What was refused would be refused again: only somebody who has changed something may ask. */
function afterRefusal(
  rows: SiteContentRows,
  delivery: SiteDelivery,
  wish: SiteWish,
): SiteContentWork {
  if (newWishes(wish, delivery).length === 0) return nothing;
  return delivery.baseVersion > 0 ? create(rows, 0) : create(rows);
}

/**
 * The receiver answers for what it has taken: it is waited for, unless it says anew that it has
 * something older (it lost its state), or an administrator asks for all of it again, or once more
 * for what a DP was to get already and the site has not begun to unpack.
 */
function afterDelivery(
  rows: SiteContentRows,
  delivery: SiteDelivery,
  result: SiteDeliveryResult,
  wish: SiteWish,
): SiteContentWork {
  const { content } = rows;
  const isAskedFor = newWishes(wish, delivery).some(
    (dpId) =>
      wish.redistributed.has(dpId) || (dpId in delivery.wishes && content?.state !== 'arriving'),
  );
  if (isAskedFor) return create(rows);
  const isAtRest = content?.state === 'none' || content?.state === 'stored';
  const isNews = isAtRest && content.changedAtMs !== result.contentChangedAtMs;
  if (!isNews || delivery.repeatCount >= deliveryRepeatsMax) return nothing;
  return create(rows, baseVersionFor(rows), delivery.repeatCount + 1);
}

/** The DPs whose wish is another than the one the job knew of. */
function newWishes({ wishes }: SiteWish, delivery: SiteDelivery): string[] {
  return Object.keys(wishes).filter((dpId) => wishes[dpId] !== delivery.wishes[dpId]);
}

function create(
  rows: SiteContentRows,
  baseVersion = baseVersionFor(rows),
  repeatCount = 0,
): SiteContentWork {
  return { kind: 'create', baseVersion, repeatCount };
}
