import type {
  PackageAssignment,
  PackageDefinition,
  PackageRequests,
  SiteContent,
} from './hierarchy-package.ts';
import { awaitedReason, isLeaving } from './package-processing.ts';
import { isFailed, type PackageStatus } from './package-status.ts';
import type {
  PackageServer,
  PackageServerAction,
  PackageSource,
  SitePackage,
  TakenRequests,
} from './site-package.ts';

/** What the hierarchy says of a package that another site publishes; all read in one turn. */
export interface ForeignPackageRows {
  readonly definition: PackageDefinition | undefined;
  /** The package as its source site keeps it. */
  readonly published: SitePackage | undefined;
  /** The package as this site keeps it. */
  readonly row: SitePackage | undefined;
  /** Whether a DP of this site is to have it. */
  readonly isWanted: boolean;
  /** Whether an administrator at this site asked for its deletion. */
  readonly isDeletionAsked: boolean;
  /** Whether its source site was taken out of the hierarchy. */
  readonly isSourceGone: boolean;
  /** What this site says it holds of it. */
  readonly content?: SiteContent | undefined;
}

/** What becomes of this site's row of a package that another site publishes. */
export type ForeignPackageFate =
  /** The row says what is here. */
  | 'keep'
  /** It leaves the DPs, then the library of this site. */
  | 'leave'
  /** The source site has ended the deletion: what is left goes once nothing is here. */
  | 'forget';

/** Asked twice, it answers the same. */
export function foreignPackageFate(rows: ForeignPackageRows): ForeignPackageFate {
  const { definition, published, row } = rows;
  // Nobody will ever publish or delete it any more.
  if (rows.isSourceGone) return 'forget';
  if (published) return isLeaving(published) ? 'leave' : 'keep';
  if (definition) return 'keep';
  // Nobody tells of it. After damage that may be because nobody has told yet.
  if (row?.isUnconfirmed && !rows.isDeletionAsked && !isLeaving(row)) return 'keep';
  return 'forget';
}

/**
 * This site's row of a package that another site publishes: what administrators say of it, what is
 * awaited, and what is here, which only an arrival changes.
 */
export function toForeignPackage(
  rows: ForeignPackageRows,
  {
    packageId,
    sourceSiteCode,
    nowMs,
  }: { packageId: string; sourceSiteCode: string; nowMs: number },
): SitePackage | undefined {
  const { definition, published, row } = rows;
  const properties = definition?.properties ?? published?.properties ?? row?.properties;
  if (!properties) return undefined;
  const awaitedVersion = published?.sourceVersion ?? row?.awaitedVersion ?? 0;
  const sourceVersion = row?.sourceVersion ?? 0;
  const here = { sourceSiteCode, sourceVersion, awaitedVersion };
  const next: SitePackage = {
    packageId,
    properties,
    sourceSiteCode,
    sources: foreignSources(rows),
    sourceVersion,
    packageHash: row?.packageHash ?? '',
    awaitedVersion,
    ...foreignState(here, { isWanted: rows.isWanted, content: rows.content }),
    acceptedRequestCount: 0,
    handledRequestCount: 0,
    sourceUnchanged: false,
    createdAtMs: published?.createdAtMs ?? row?.createdAtMs ?? nowMs,
    updatedAtMs: row?.updatedAtMs ?? nowMs,
    ...(row?.isUnconfirmed && !published && { isUnconfirmed: true as const }),
  };
  return row && isSame(row, next) ? row : { ...next, updatedAtMs: nowMs };
}

/**
 * How a package of another site stands here: its content is awaited, or was found damaged and comes
 * again, or was found damaged and does not.
 */
export function foreignState(
  here: Pick<SitePackage, 'sourceSiteCode' | 'sourceVersion' | 'awaitedVersion'>,
  { isWanted, content }: { isWanted: boolean; content: SiteContent | undefined },
): Pick<SitePackage, 'state' | 'reason'> {
  const { sourceSiteCode, sourceVersion, awaitedVersion = 0 } = here;
  const isHere = sourceVersion > 0 && sourceVersion >= awaitedVersion;
  if (!isHere && isWanted) return { state: 'pending', reason: awaitedReason(here) };
  if (!isHere || !content || !isDamagedCopy(content)) return { state: 'published', reason: '' };
  const isToCome = isWanted && content.needsFull && content.refusedJobId === '';
  if (!isToCome) return { state: 'failed', reason: content.reason || damagedCopyText(content) };
  const reason = `${damagedCopyText(content)}: it comes again from site ${sourceSiteCode}`;
  return { state: 'pending', reason };
}

function damagedCopyText({ siteCode }: SiteContent): string {
  return `the copy of site ${siteCode} is damaged`;
}

/** Whether a site has said that the version it stores is not whole there. */
export function isDamagedCopy(content: SiteContent): boolean {
  const { state, storedVersion, needsFull, reason, refusedJobId } = content;
  if (storedVersion === 0) return false;
  return needsFull || (state === 'stored' && reason !== '' && refusedJobId === '');
}

/**
 * What a site says once files of the version it stores are damaged or gone.
 *
 * @param damage.isToCome its source site is to send all of it again
 */
export function withDamage(
  content: SiteContent,
  damage: { readonly reason: string; readonly isToCome: boolean },
  nowMs: number,
): SiteContent {
  const { reason, isToCome: needsFull } = damage;
  return { ...content, state: 'stored', reason, refusedJobId: '', needsFull, changedAtMs: nowMs };
}

/** This site's row of a package of another site once its content is not here any more. */
export function withoutContent(
  row: SitePackage,
  { isWanted, nowMs }: { isWanted: boolean; nowMs: number },
): SitePackage {
  const sources = row.sources.map(({ contentName, directory }) => ({ contentName, directory }));
  const bare = { ...row, sources, sourceVersion: 0, packageHash: '', updatedAtMs: nowMs };
  if (isLeaving(row)) return bare;
  return isWanted
    ? { ...bare, state: 'pending', reason: awaitedReason(row) }
    : { ...bare, state: 'published', reason: '' };
}

/** Of a version that is here, its contents; else only what contents are called. */
function foreignSources({ published, row, definition }: ForeignPackageRows): PackageSource[] {
  if (row && row.sourceVersion > 0) return [...row.sources];
  return (published?.sources ?? row?.sources ?? []).map(({ contentName, directory }, index) => {
    return { directory: definition?.directories[index] ?? directory, contentName };
  });
}

/** This package once what administrators say of it elsewhere holds at its source site, too. */
export function withDefinition(
  row: SitePackage,
  definition: Pick<PackageDefinition, 'properties' | 'directories'>,
): SitePackage {
  const isOneForEach = definition.directories.length === row.sources.length;
  const sources = row.sources.map((source, index) => {
    const directory = isOneForEach ? definition.directories[index] : undefined;
    return { ...source, directory: directory || source.directory };
  });
  const next = { ...row, properties: definition.properties, sources };
  return isSame(row, next) ? row : next;
}

/** The definition that says what the package's row says. */
export function toDefinition(row: SitePackage): PackageDefinition {
  const { packageId, sourceSiteCode, properties } = row;
  const directories = row.sources.map(({ directory }) => directory);
  return { packageId, sourceSiteCode, properties, directories };
}

/**
 * This package once the updates that other sites ask for are among the accepted ones; itself when all
 * are. One snapshot serves all that were asked for before it.
 */
export function withRequestsTaken(
  row: SitePackage,
  requests: readonly PackageRequests[],
  nowMs: number,
): SitePackage {
  let acceptedRequestCount = row.acceptedRequestCount;
  const taken: Record<string, TakenRequests> = { ...row.requestsTaken };
  for (const { siteCode, updateCount } of requests) {
    const before = taken[siteCode];
    const newCount = updateCount - (before?.takenCount ?? 0);
    if (newCount <= 0) continue;
    acceptedRequestCount += newCount;
    const handledBefore = handledCountOf(before, row.handledRequestCount);
    taken[siteCode] = { takenCount: updateCount, acceptedAs: acceptedRequestCount, handledBefore };
  }
  if (acceptedRequestCount === row.acceptedRequestCount) return row;
  return {
    ...row,
    state: row.state === 'snapshot' ? 'snapshot' : 'pending',
    reason: '',
    acceptedRequestCount,
    requestsTaken: taken,
    updatedAtMs: nowMs,
  };
}

/** How many of a site's requests the source site has handled for sure. */
export function handledCountOf(
  taken: TakenRequests | undefined,
  handledRequestCount: number,
): number {
  if (!taken) return 0;
  return handledRequestCount >= taken.acceptedAs ? taken.takenCount : taken.handledBefore;
}

/** What a wish for a DP of this site changes there; undefined when it changes nothing. */
export interface WishEffect {
  readonly server: PackageServer;
  /** Whether there is something to do; else only the wish is remembered. */
  readonly isWork: boolean;
}

/**
 * What a wish does, once (by its ID) and whatever it finds: an add where the package is, or is on its
 * way, only makes what failed run again.
 */
export function wishEffect(
  wish: PackageAssignment,
  rows: {
    readonly server: PackageServer | undefined;
    readonly status: PackageStatus | undefined;
    readonly isLeaving: boolean;
  },
): WishEffect | undefined {
  const { server, status } = rows;
  const { packageId, dpId, wishId, action, wishedAtMs } = wish;
  if (server?.wishId === wishId) return undefined;
  if (action === 'remove') {
    if (!server) return undefined;
    const removed = { intent: 'removed', action: 'remove' } as const;
    return {
      server: { packageId, dpId, ...removed, changedAtMs: wishedAtMs, wishId },
      isWork: true,
    };
  }
  if (rows.isLeaving) return undefined;
  const isOnItsWay = server?.intent === 'installed' && !(status && isFailed(status.state));
  if (action === 'add' && isOnItsWay) return { server: { ...server, wishId }, isWork: false };
  const installed = { intent: 'installed', action: workOf(action, server) } as const;
  const changed = { packageId, dpId, ...installed, changedAtMs: wishedAtMs, wishId };
  return { server: changed, isWork: true };
}

function workOf(
  action: 'add' | 'redistribute',
  server: PackageServer | undefined,
): PackageServerAction {
  // A repair that is still due is not lost to a plain wish.
  return server?.action === 'redistribute' ? 'redistribute' : action;
}

/** What a site says of a package it waits for, before anything of it has come. */
export function toAwaitedContent(
  { packageId, siteCode }: { packageId: string; siteCode: string },
  nowMs: number,
): SiteContent {
  return {
    packageId,
    siteCode,
    state: 'none',
    storedVersion: 0,
    storedHash: '',
    reason: '',
    refusedJobId: '',
    needsFull: false,
    changedAtMs: nowMs,
  };
}

/** What a site says of a package once its library holds this version, or none. */
export function toStoredContent(
  row: SiteContent,
  version: { readonly sourceVersion: number; readonly packageHash: string } | undefined,
  nowMs: number,
): SiteContent {
  const nothing = { state: 'none', storedVersion: 0, storedHash: '', needsFull: true } as const;
  const stored = version && {
    ...({ state: 'stored', storedVersion: version.sourceVersion } as const),
    ...{ storedHash: version.packageHash, needsFull: false },
  };
  return { ...row, ...(stored ?? nothing), reason: '', refusedJobId: '', changedAtMs: nowMs };
}

/** Rows are JSON: equal when their fields are, absent or not. */
export function isSame<T extends object>(a: T, b: T): boolean {
  return a === b || JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, field]) => [key, sorted(field)]),
  );
}
