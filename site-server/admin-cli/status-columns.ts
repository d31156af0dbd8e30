import { type PackageStatusRecord, toneOfStatus, toStatusText } from './package-status-record.ts';
import type { Column } from './table.ts';
import { toAgeText } from './units.ts';

/** Columns of a table of package status. */
export function packageStatusColumns(nowMs: number): readonly Column<PackageStatusRecord>[] {
  return [
    { title: 'package', text: (row) => row.packageId },
    { title: 'on', text: (row) => row.dpId || 'its site' },
    { title: 'state', text: toStatusText, tone: toneOfStatus },
    { title: 'version', text: toVersionText, align: 'right' },
    { title: 'done', text: toPercentText, align: 'right' },
    { title: 'since', text: (row) => toAgeText(row.changedAtMs, nowMs) },
    { title: 'reason', text: (row) => row.reason },
  ];
}

/** `3`, or `2 → 3` on its way, `3 → none` when it is being removed. */
function toVersionText({ installedVersion, targetVersion }: PackageStatusRecord): string {
  if (installedVersion === targetVersion) return String(installedVersion);
  return `${installedVersion || 'none'} → ${targetVersion || 'none'}`;
}

function toPercentText({ state, percent }: PackageStatusRecord): string {
  return state === 'installed' || state.endsWith('failed') ? '' : `${percent} %`;
}
