import { isDeepStrictEqual } from 'node:util';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { PackageDefinition } from '../../shared/domain/hierarchy-package.ts';
import { sourceSiteOf } from '../../shared/domain/package.ts';
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
}

/** Whether what is here of a row says who may change it. */
export function isOwnedRow({ table }: RowName): boolean {
  return ownedTables.some((one) => one === table);
}

/**
 * Why a site below this one may not have written such a row. Whose it is and what it is, only the site
 * it belongs to says, or one above that; an administrator elsewhere may make one where none is, and
 * change what it is set to (ROLE-4). Undefined when the site may.
 */
export function ownedRowProblem(tree: SiteTree, row: OwnedRow): string | undefined {
  const { name, origin, before, value } = row;
  if (!before || !isOwnedRow(name)) return undefined;
  const isPoint = name.table === 'hierarchy-distribution-points';
  const owner = isPoint ? (before as DistributionPoint).siteCode : sourceSiteOf(name.key);
  // A site takes its rows along when it is taken out, and its own row may be the first to come.
  const hasSay = tree.get(owner) === undefined || tree.isUnder(owner, origin);
  if (isPoint && value && isGivenAway(tree, origin, { before, value }))
    return `site ${origin} may move it only below itself`;
  const isTaken = hasSay || (value !== undefined && isSameThing(name, before, value));
  if (isTaken) return undefined;
  const what = isPoint
    ? 'delete it, or change its site or address'
    : 'delete it, or change what it reads and runs';
  return `only site ${owner} or one above it may ${what}; ${origin} is none`;
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
