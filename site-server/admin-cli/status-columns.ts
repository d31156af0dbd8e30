import { type PackageStatusRecord, toneOfStatus, toStatusText } from './package-status-record.ts';
import type { Column } from './table.ts';
import { toAgeText } from './units.ts';

/** A row, perhaps with why its job waits, which says more. */
type SeenStatus = PackageStatusRecord & { readonly jobReason?: string };

/** Columns of a table of package status. */
export function packageStatusColumns<R extends SeenStatus>(
  rows: readonly R[],
  nowMs: number,
): readonly Column<R>[] {
  const siteText = siteTextOf(rows);
  return [
    { title: 'package', text: (row) => row.packageId },
    { title: 'site', text: siteText },
    { title: 'on', text: (row) => row.dpId || toSiteText(row) },
    { title: 'state', text: toStatusText, tone: toneOfStatus },
    { title: 'version', text: toVersionText, align: 'right' },
    { title: 'done', text: toPercentText, align: 'right' },
    { title: 'since', text: (row) => toAgeText(row.changedAtMs, nowMs) },
    { title: 'reason', text: (row) => row.jobReason || row.reason },
  ];
}

/** The site of a row, where rows are of several: a column without texts is left out. */
export function siteTextOf<R extends { readonly siteCode: string }>(
  rows: readonly R[],
): (row: R) => string {
  const isOne = new Set(rows.map(({ siteCode }) => siteCode)).size <= 1;
  return isOne ? () => '' : ({ siteCode }) => siteCode;
}

/** The package on a site, not on one of its DPs. */
function toSiteText({ siteCode }: PackageStatusRecord): string {
  return siteCode === '' ? 'its site' : `site ${siteCode}`;
}

/** `3`, or `2 → 3` on its way, `3 → none` when it is being removed. */
function toVersionText({ installedVersion, targetVersion }: PackageStatusRecord): string {
  if (installedVersion === targetVersion) return String(installedVersion);
  return `${installedVersion || 'none'} → ${targetVersion || 'none'}`;
}

function toPercentText({ state, percent }: PackageStatusRecord): string {
  const isOver = state === 'installed' || state.endsWith('failed');
  return isOver || percent === null ? '' : `${percent} %`;
}
