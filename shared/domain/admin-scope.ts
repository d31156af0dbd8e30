import { sourceSiteOf } from './package.ts';
import type { AdminScope } from './peer-identity.ts';

/** A DP that something would be done with. */
export interface ScopedPoint {
  readonly dpId: string;
  /** Undefined when no DP of this name is known. */
  readonly siteCode: string | undefined;
  /** Of the groups of the scope those it is in now. */
  readonly groupNames: readonly string[];
}

/** What a command would change, as far as scopes have a say; what is absent, it does not touch. */
export interface ScopedChange {
  readonly points?: readonly ScopedPoint[];
  readonly packageIds?: readonly string[];
  /** Groups that would be given something, or whose members would change. */
  readonly groupNames?: readonly string[];
  /** Sites at which something would be made or written. */
  readonly siteCodes?: readonly string[];
}

/** Things that are named in a refusal; of more only the number is told. */
const namedMax = 8;

/** What of a change is not in a scope, in words that name each; none: all of it is. */
export function outsideOf(scope: AdminScope, change: ScopedChange): string[] {
  const isOurs = (siteCode: string | undefined) =>
    siteCode !== undefined && scope.siteCodes.includes(siteCode);
  const points = (change.points ?? [])
    .filter(({ siteCode, groupNames }) => {
      // A DP that is not known is nobody's, whatever groups still name it.
      return siteCode === undefined || !(isOurs(siteCode) || groupNames.length > 0);
    })
    .map(toPointText);
  const packages = (change.packageIds ?? [])
    .filter((packageId) => !isOurs(sourceSiteOf(packageId)))
    .map((packageId) => `package ${packageId} of site ${sourceSiteOf(packageId)}`);
  const groups = (change.groupNames ?? [])
    .filter((groupName) => !scope.groupNames.includes(groupName))
    .map((groupName) => `group ${groupName}`);
  const sites = (change.siteCodes ?? [])
    .filter((siteCode) => !isOurs(siteCode))
    .map((siteCode) => `site ${siteCode}`);
  return [...new Set([...sites, ...groups, ...packages, ...points])];
}

/** What lies outside, as one text of bounded length. */
export function outsideText(outside: readonly string[]): string {
  const named = outside.slice(0, namedMax).join(', ');
  const more = outside.length - namedMax;
  return more > 0 ? `${named} and ${more} more` : named;
}

/** A scope as an administrator reads it: `site PS1, group Lab`. */
export function scopeText({ siteCodes, groupNames }: AdminScope): string {
  const sites = siteCodes.map((siteCode) => `site ${siteCode}`);
  return [...sites, ...groupNames.map((groupName) => `group ${groupName}`)].join(', ');
}

function toPointText({ dpId, siteCode }: ScopedPoint): string {
  const where = siteCode === undefined ? ', which is not known here' : ` of site ${siteCode}`;
  return `distribution point ${dpId}${where}`;
}
