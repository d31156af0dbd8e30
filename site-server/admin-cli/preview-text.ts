import type { Output } from './output.ts';
import type { PreviewedTransferRecord, PreviewRecord } from './preview-record.ts';
import type { Column } from './table.ts';
import { toByteText, toCountOf, toCountText, toRateText, toWaitText } from './units.ts';

/** Tells a preview: what travels, a table of the ways, what else is to be known, and all together. */
export function tellPreview(
  output: Output,
  preview: PreviewRecord,
  notes: readonly string[],
): void {
  const { version, transfers } = preview;
  output.record(preview);
  if (output.json) {
    for (const note of notes) output.note(note);
    return;
  }
  output.sentence(toVersionText(preview));
  if (version.sourceUnchanged) return;
  output.sentence('Nothing is done. This would travel:');
  const shown = transfers.filter(({ way }) => way !== 'site' || isSiteTold(transfers));
  output.list(shown, columns, 'No distribution point has it: nothing would travel.');
  for (const note of [...notes, ...notesOf(transfers)]) output.sentence(note);
  if (transfers.length > 0) output.sentence(toTotalText(preview));
}

function toVersionText({ version }: PreviewRecord): string {
  const { packageId, sourceVersion, sourceUnchanged, fileCount, sizeBytes } = version;
  if (sourceUnchanged) {
    return `The source of package ${packageId} is unchanged: version ${sourceVersion} stays.`;
  }
  const content = `${toCountOf(fileCount, 'file')}, ${toByteText(sizeBytes)}`;
  const news = `${toCountOf(version.newFiles, 'file')}, ${toByteText(version.newBytes)} new here`;
  const what = sourceVersion > version.publishedVersion ? `${content}; ${news}` : content;
  return `Package ${packageId} version ${sourceVersion}: ${what}.`;
}

/** A sum of one says nothing. */
function isSiteTold(transfers: readonly PreviewedTransferRecord[]): boolean {
  return transfers.filter(({ way }) => way === 'distribution-point').length > 1;
}

const columns: readonly Column<PreviewedTransferRecord>[] = [
  { title: 'way', text: toWayText },
  { title: 'files', text: (row) => toCountText(row.fileCount), align: 'right' },
  { title: 'bytes', text: (row) => toByteText(toAllBytes(row)), align: 'right' },
  { title: 'begins', text: toBeginText, align: 'right' },
  { title: 'takes', text: toDurationText, align: 'right' },
  { title: 'at', text: toPaceText },
  { title: 'known', text: (row) => basisTexts[row.basis] ?? '' },
];

const basisTexts: Readonly<Record<string, string>> = {
  asked: 'asked',
  'installed-packages': 'estimated',
  'whole-package': 'estimated',
  'package-file': 'made',
  sample: 'estimated',
  'nothing-to-do': 'nothing to do',
};

function toWayText(row: PreviewedTransferRecord): string {
  if (row.way === 'distribution-point') return row.dpId;
  if (row.way === 'link') return `link ${row.linkName}`;
  if (row.way === 'route') return `${row.fromSiteCode} → ${row.toSiteCode}`;
  return `all of ${row.siteCode}`;
}

/** What is told of the files travels, too: so the rows add up to the sum below them. */
function toAllBytes({ bytes, manifestBytes }: PreviewedTransferRecord): number {
  return bytes + manifestBytes;
}

function toBeginText({ waitsMs }: PreviewedTransferRecord): string {
  return waitsMs > 0 ? `in ${toWaitText(waitsMs)}` : '';
}

/** Without the wait, which stands beside it. */
function toDurationText(row: PreviewedTransferRecord): string {
  const { durationMs, waitsMs } = row;
  if (toAllBytes(row) === 0) return '';
  return durationMs === null ? 'unknown' : toWaitText(durationMs - waitsMs);
}

function toPaceText(row: PreviewedTransferRecord): string {
  const { bytesPerSecond, pace } = row;
  if (toAllBytes(row) === 0 || bytesPerSecond === 0) return '';
  return `${toRateText(bytesPerSecond)}${pace === 'limit' ? ' limit' : ' measured'}`;
}

/** Each thing once, with the ways it is about. */
function notesOf(transfers: readonly PreviewedTransferRecord[]): string[] {
  const about = new Map<string, string[]>();
  const add = (note: string, row: PreviewedTransferRecord) => {
    if (note !== '') about.set(note, [...(about.get(note) ?? []), toWayText(row)]);
  };
  for (const row of transfers) {
    add(row.note, row);
    if (row.basis === 'whole-package' && row.bytes > 0) add(wholeNote, row);
    if (row.basis === 'installed-packages') add(installedNote, row);
    if (row.way !== 'site') add(row.durationUnknown, row);
  }
  return [...about].map(([note, ways]) => `${listed(ways)}: ${note}.`);
}

const wholeNote = 'estimated, since nothing is known of what is there: the whole package';
const installedNote = 'estimated, from the packages that are known to be installed there';

const listedMax = 5;

function listed(ways: readonly string[]): string {
  const hidden = ways.length - listedMax;
  return `${ways.slice(0, listedMax).join(', ')}${hidden > 0 ? ` and ${hidden} more` : ''}`;
}

function toTotalText({ transfers, total }: PreviewRecord): string {
  const points = transfers.filter((one) => {
    return one.way === 'distribution-point' && toAllBytes(one) > 0;
  });
  const manifestBytes = points.reduce((sum, one) => sum + one.manifestBytes, 0);
  const manifests = manifestBytes > 0 ? `, ${toByteText(manifestBytes)} of it manifests` : '';
  const toPoints = `${toByteText(total.bytes)} to ${toCountOf(points.length, 'DP')}${manifests}`;
  const between =
    total.bytesBetweenSites > 0 ? `, ${toByteText(total.bytesBetweenSites)} between sites` : '';
  const time =
    total.durationMs === null ? 'how long that takes cannot be said' : toDoneText(total.durationMs);
  return `In all ${toPoints}${between}; ${time}.`;
}

function toDoneText(durationMs: number): string {
  return durationMs < 1000 ? 'done in under a second' : `done in about ${toWaitText(durationMs)}`;
}
