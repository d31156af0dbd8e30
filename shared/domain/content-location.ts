import { parsePackageId } from './package.ts';
import type { SitePackage } from './site-package.ts';

/**
 * That a content is, or is just arriving, at a DP: the row of table "content DP map". What is just
 * arriving can be fetched there as far as it has come (PULL-11).
 */
export interface ContentLocation {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly state: 'arriving' | 'held';
  readonly sinceMs: number;
}

/** What the IDs of all versions of a content begin with: its ID without the version it was made for. */
export function contentNameOf(contentId: string): string {
  return contentId.replace(/\.\d+$/, '');
}

/** What the contents of an application are called: the package is part of it, so that no other takes it. */
export function toContentName(packageId: string, uuid: string): string {
  return `Content_${packageId}_${uuid}`;
}

/**
 * Whether a package may have a content of this name: not when the name says that it is another's. Older
 * applications have names that say of nobody whose they are.
 */
export function mayHaveContent(packageId: string, contentId: string): boolean {
  const name = contentNameOf(contentId);
  const owner = parsePackageId(name) ?? /^Content_([A-Z0-9]{8})_/.exec(name)?.[1];
  return owner === undefined || owner === packageId;
}

/** The contents of a version of a package; undefined for one that the site does not keep any more. */
export function contentIdsOf(
  sitePackage: SitePackage | undefined,
  sourceVersion: number,
): string[] | undefined {
  if (sitePackage?.sourceVersion !== sourceVersion) return undefined;
  return sitePackage.sources.flatMap(({ content }) => (content ? [content.contentId] : []));
}

/** What the contents of a package are called. Its source site says so, which may name those of others. */
export interface ContentNames {
  readonly packageId: string;
  readonly names: readonly string[];
}

/** What the IDs of all contents of a package begin with, in whatever version. */
export function contentNamesOf(
  sitePackage: SitePackage | undefined,
  packageId: string,
): ContentNames {
  const names = sitePackage?.sources.map(({ contentName }) => contentName) ?? [packageId];
  return { packageId, names };
}
