import type { PreviewedTransfer__Output } from '../../shared/rpc/generated/waybill/v1/PreviewedTransfer.ts';
import type { PreviewedVersion__Output } from '../../shared/rpc/generated/waybill/v1/PreviewedVersion.ts';
import { toCount, toWord } from './wire-values.ts';

/** What would travel, as `--json` shows it. */
export type PreviewedVersionRecord = ReturnType<typeof toPreviewedVersionRecord>;

/** Bytes that would go one way, as `--json` shows them. */
export type PreviewedTransferRecord = ReturnType<typeof toPreviewedTransferRecord>;

/** A whole preview, as `--json` shows it. */
export interface PreviewRecord {
  readonly version: PreviewedVersionRecord;
  readonly transfers: readonly PreviewedTransferRecord[];
  readonly total: PreviewTotal;
}

/** All ways together. */
export interface PreviewTotal {
  /** To DPs. */
  readonly bytes: number;
  /** From site to site. */
  readonly bytesBetweenSites: number;
  /** Null when that cannot be said for all of it. */
  readonly durationMs: number | null;
}

/** The version as it came from the site server. */
export function toPreviewedVersionRecord(wire: PreviewedVersion__Output) {
  return {
    packageId: wire.packageId,
    sourceVersion: wire.sourceVersion,
    publishedVersion: wire.publishedVersion,
    sourceUnchanged: wire.sourceUnchanged,
    sizeBytes: toCount(wire.sizeBytes, 'size_bytes'),
    fileCount: toCount(wire.fileCount, 'file_count'),
    newFiles: toCount(wire.newFiles, 'new_files'),
    newBytes: toCount(wire.newBytes, 'new_bytes'),
  };
}

/** A way as it came from a site server. */
export function toPreviewedTransferRecord(wire: PreviewedTransfer__Output) {
  const duration = toCount(wire.durationMs, 'duration_ms');
  return {
    way: toWord('PREVIEWED_WAY_', wire.way),
    dpId: wire.dpId,
    siteCode: wire.siteCode,
    linkName: wire.linkName,
    fromSiteCode: wire.fromSiteCode,
    toSiteCode: wire.toSiteCode,
    bytes: toCount(wire.bytes, 'bytes'),
    manifestBytes: toCount(wire.manifestBytes, 'manifest_bytes'),
    fileCount: toCount(wire.fileCount, 'file_count'),
    basis: toWord('PREVIEW_BASIS_', wire.basis),
    note: wire.note,
    waitsMs: toCount(wire.waitsMs, 'waits_ms'),
    /** Null: it cannot be said, for `durationUnknown`. */
    durationMs: wire.durationUnknown === '' ? duration : null,
    durationUnknown: wire.durationUnknown,
    bytesPerSecond: toCount(wire.bytesPerSecond, 'bytes_per_second'),
    pace: wire.pace === 'PREVIEW_PACE_UNSPECIFIED' ? '' : toWord('PREVIEW_PACE_', wire.pace),
  };
}

/** All together: a site's DPs begin when the content is there, hop by hop. */
export function toPreviewTotal(transfers: readonly PreviewedTransferRecord[]): PreviewTotal {
  const points = transfers.filter(({ way }) => way === 'distribution-point');
  const routes = transfers.filter(({ way }) => way === 'route');
  const bytesOf = (some: readonly PreviewedTransferRecord[]) =>
    some.reduce((sum, { bytes, manifestBytes }) => sum + bytes + manifestBytes, 0);
  return {
    bytes: bytesOf(points),
    bytesBetweenSites: bytesOf(routes),
    durationMs: durationOf(transfers, routes),
  };
}

function durationOf(
  transfers: readonly PreviewedTransferRecord[],
  routes: readonly PreviewedTransferRecord[],
): number | null {
  let longestMs = 0;
  const siteCodes = new Set(transfers.map(({ siteCode }) => siteCode));
  for (const siteCode of siteCodes) {
    const there = [...wayTo(siteCode, routes), ...lastOf(siteCode, transfers)];
    if (there.some(({ durationMs }) => durationMs === null)) return null;
    const sumMs = there.reduce((sum, { durationMs }) => sum + (durationMs ?? 0), 0);
    longestMs = Math.max(longestMs, sumMs);
  }
  return longestMs;
}

/** The hops to a site, as far as they are known: each site is reached from one other. */
function wayTo(
  siteCode: string,
  routes: readonly PreviewedTransferRecord[],
): PreviewedTransferRecord[] {
  const way: PreviewedTransferRecord[] = [];
  for (let here = siteCode; way.length < routes.length; ) {
    const hop = routes.find((one) => one.toSiteCode === here && !way.includes(one));
    if (!hop) break;
    way.push(hop);
    here = hop.fromSiteCode;
  }
  return way;
}

/** What the site says of all its DPs; of one that could not be asked, its slowest DP. */
function lastOf(
  siteCode: string,
  transfers: readonly PreviewedTransferRecord[],
): PreviewedTransferRecord[] {
  const own = transfers.filter((one) => one.siteCode === siteCode);
  const site = own.find(({ way }) => way === 'site');
  if (site) return [site];
  const points = own.filter(({ way }) => way === 'distribution-point');
  const unknown = points.find(({ durationMs }) => durationMs === null);
  if (unknown) return [unknown];
  return points.sort((a, b) => (b.durationMs ?? 0) - (a.durationMs ?? 0)).slice(0, 1);
}
