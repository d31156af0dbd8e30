import { isDeepStrictEqual } from 'node:util';
import type { RowVersion } from '../../shared/domain/change-log.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { PackageDefinition } from '../../shared/domain/hierarchy-package.ts';
import { toDefinition } from '../../shared/domain/hierarchy-package-work.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { RowName } from './replicated-rows.ts';

/** Tables that any site writes, of whose rows each has one site that it belongs to. */
const ownedTables = ['hierarchy-distribution-points', 'package-definitions'] as const;

/** A row of such a table as a site below this one has written it. */
export interface OwnedRow {
  readonly name: RowName;
  /** Who wrote it. */
  readonly origin: string;
  /** What is here of it; undefined: nothing, or that it is deleted. */
  readonly before: unknown;
  /** Undefined: deleted. */
  readonly value: unknown;
  /** Of a package: what its source site, and no other, has said of it; undefined: nothing. */
  readonly published?: unknown;
  /** Who has said what is here. @default it is not known */
  readonly heldBy?: string | undefined;
  /** Whether the site that it belongs to was there, and was taken out. @default false */
  readonly isOwnerGone?: boolean;
}

/** Such a row, and which change of it is here. Of DPs the later change counts: whose one is may change. */
export interface RankedRow extends OwnedRow {
  readonly held: RowVersion;
  /** Whether it may be outdated: what was said after it may be forgotten where it comes from. @default false */
  readonly isRenumbered?: boolean;
}

/** What is said anew of a row, as this site's own. */
export interface RaisedRow {
  /** Undefined: deleted. */
  readonly value: unknown;
  /** It is what is here, which its writer has lost: whatever was said after that stays the later one. @default false */
  readonly isGivenBack?: true;
}

/** Whether what is here of a row says who may change it. */
export function isOwnedRow({ table }: RowName): boolean {
  return ownedTables.some((one) => one === table);
}

/** The rows that are read to tell whose such a row is, itself the first; none of another table. */
export function rowsToJudge(name: RowName): RowName[] {
  if (!isOwnedRow(name)) return [];
  return name.table === 'package-definitions' ? [name, publishedOf(name)] : [name];
}

/** The row in which its source site says what a package is. */
export function publishedOf({ key }: RowName): RowName {
  return { table: 'published-packages', key };
}

/**
 * Why a site below this one may not have written such a row. Whose it is and what it is, only the site
 * it belongs to says, or one above that; an administrator elsewhere may change what it is set to, and make
 * a DP where none is (ROLE-4). Undefined when the site may.
 */
export function ownedRowProblem(tree: SiteTree, row: OwnedRow): string | undefined {
  const { name, origin, before, value } = row;
  if (!isOwnedRow(name)) return undefined;
  if (!before) return newRowProblem(tree, row);
  const isPoint = name.table === 'hierarchy-distribution-points';
  const owner = isPoint ? (before as DistributionPoint).siteCode : sourceSiteOf(name.key);
  if (isPoint && value && isGivenAway(tree, origin, { before, value }))
    return `site ${origin} may move it only below itself`;
  const isTaken =
    mayChange(tree, owner, row) || (value !== undefined && isSameThing(name, before, value));
  if (isTaken) return undefined;
  const what = isPoint
    ? 'delete it, or change its site or address'
    : 'delete it, or change what it reads and runs';
  return `only site ${owner} or one above it may ${what}; ${origin} is none`;
}

/**
 * What the row of a package from below becomes though what is here is later: what a package is, who has a say says,
 * whatever time a site without one writes beside its own changes. What that has set stays. A row of an older or damaged
 * store, also of a DP, is answered with what is here where that would not be taken from the site that said it.
 *
 * @returns undefined when what is here stands; a value that is undefined: it is deleted
 */
export function raisedRow(tree: SiteTree, row: RankedRow): RaisedRow | undefined {
  const { name, origin, before, value, held } = row;
  if (row.isRenumbered && isLostThere(tree, row)) return { value: before, isGivenBack: true };
  if (!isRanked(name) || !isKnownToSay(tree, name, origin)) return undefined;
  if (held.isOfNothing) return value ? { value } : undefined;
  // What is here was set perhaps beside what that site has said since.
  if (row.isRenumbered || isKnownToSay(tree, name, held.changedAt.siteCode)) return undefined;
  if (!before || !value) return before || value ? { value } : undefined;
  return isSameThing(name, before, value) ? undefined : { value: withWhatItIs(before, value) };
}

/**
 * What becomes of what is here of a package though a row from above is later: what a package is stands when a site with
 * a say said it, and one without a say says something else. What that has set is taken. Only while the sites above have
 * not heard what is here: it is said anew, since they may not know of that say when they hear it.
 *
 * @returns undefined when the row may be taken; a value that is undefined: it stays deleted
 */
export function keptRow(tree: SiteTree, row: RankedRow): { readonly value: unknown } | undefined {
  const { name, origin, before, value, held } = row;
  if (!isRanked(name) || !isKnownToSay(tree, name, held.changedAt.siteCode)) return undefined;
  if (held.isRenumbered || isKnownToSay(tree, name, origin)) return undefined;
  if (!before || !value) return before || value ? { value: before } : undefined;
  return isSameThing(name, before, value) ? undefined : { value: withWhatItIs(value, before) };
}

/**
 * Whether what is here of a row comes from a site of which it would not be taken where the row is as it is now. Nobody else
 * might give it back: what comes from below its writer is not sent there.
 */
function isLostThere(tree: SiteTree, row: RankedRow): boolean {
  const { origin, before, value, held } = row;
  const by = held.changedAt.siteCode;
  if (by === origin) return false;
  return ownedRowProblem(tree, { ...row, origin: by, before: value, value: before }) !== undefined;
}

/** Whether what a row is goes before its time. */
export function isRanked({ table }: RowName): boolean {
  return table === 'package-definitions';
}

/**
 * Of a row that is not here. A DP is nobody until its site gives it a certificate; by the row of a package its
 * source site would read and clients run, for who makes it first could go on rewriting it.
 */
function newRowProblem(
  tree: SiteTree,
  { name, origin, value, published }: OwnedRow,
): string | undefined {
  if (name.table !== 'package-definitions' || value === undefined) return undefined;
  const owner = sourceSiteOf(name.key);
  if (hasSay(tree, owner, origin)) return undefined;
  const known = published ? toDefinition(published as SitePackage) : undefined;
  // Its row was lost or deleted, and somebody elsewhere sets it meanwhile.
  if (known && isSamePackage(known, value as PackageDefinition)) return undefined;
  return `only site ${owner} or one above it may say what it reads and runs; ${origin} is none`;
}

/**
 * What a package is that is here, and whose source site is not known yet, that site changes, or who has said it: no
 * other one may make use of that its row comes later than its package. Of a site that was taken out nothing is kept.
 */
function mayChange(tree: SiteTree, owner: string, row: OwnedRow): boolean {
  const { name, origin, heldBy, isOwnerGone } = row;
  const isOpen = !isRanked(name) || isOwnerGone || heldBy === undefined;
  if (isOpen || tree.get(owner) !== undefined) return hasSay(tree, owner, origin);
  return origin === owner || origin === heldBy;
}

/** A site takes its rows along when it is taken out, and its own row may be the first to come. */
function hasSay(tree: SiteTree, owner: string, origin: string): boolean {
  return tree.get(owner) === undefined || tree.isUnder(owner, origin);
}

/** Whether a site has a say in a package of a site that is known. */
function isKnownToSay(tree: SiteTree, { key }: RowName, origin: string): boolean {
  const owner = sourceSiteOf(key);
  return tree.get(owner) !== undefined && tree.isUnder(owner, origin);
}

/** A package as it is set here, being what another row says. */
function withWhatItIs(set: unknown, what: unknown): PackageDefinition {
  const { directories, properties } = what as PackageDefinition;
  const before = set as PackageDefinition;
  const { programs } = properties;
  return { ...before, directories, properties: { ...before.properties, programs } };
}

function isGivenAway(
  tree: SiteTree,
  origin: string,
  row: { readonly before: unknown; readonly value: unknown },
): boolean {
  const { siteCode } = row.value as DistributionPoint;
  const isMoved = siteCode !== (row.before as DistributionPoint).siteCode;
  return isMoved && tree.get(siteCode) !== undefined && !tree.isUnder(siteCode, origin);
}

/** Whether two rows differ only in what any site may set. */
function isSameThing({ table }: RowName, before: unknown, after: unknown): boolean {
  return table === 'hierarchy-distribution-points'
    ? isSamePoint(before as DistributionPoint, after as DistributionPoint)
    : isSamePackage(before as PackageDefinition, after as PackageDefinition);
}

function isSamePoint(before: DistributionPoint, after: DistributionPoint): boolean {
  return before.siteCode === after.siteCode && before.address === after.address;
}

function isSamePackage(before: PackageDefinition, after: PackageDefinition): boolean {
  const what = ({ directories, properties }: PackageDefinition) => [
    directories,
    properties.programs,
  ];
  return isDeepStrictEqual(what(before), what(after));
}
