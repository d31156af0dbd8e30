import type { TransferForecast } from '../../shared/transfer-arbiter/transfer-forecast.ts';

/** Where the bytes of a part are known from. */
export type PreviewBasis =
  | 'asked'
  | 'installed-packages'
  | 'whole-package'
  | 'package-file'
  | 'sample'
  | 'nothing-to-do'
  | 'sum';

/** A way that bytes would go. */
export type PreviewedWay =
  | { readonly way: 'distribution-point'; readonly dpId: string; readonly siteCode: string }
  /** All DPs of a site. */
  | { readonly way: 'site'; readonly siteCode: string }
  | { readonly way: 'link'; readonly linkName: string; readonly siteCode: string }
  | { readonly way: 'route'; readonly fromSiteCode: string; readonly toSiteCode: string };

/** Bytes that would go one way, and how long they take there. */
export type PreviewedTransfer = PreviewedWay & {
  readonly bytes: number;
  readonly manifestBytes: number;
  readonly fileCount: number;
  readonly basis: PreviewBasis;
  /** What else is to be known; empty when all is said. */
  readonly note: string;
  readonly forecast: TransferForecast;
};

/** What travels, of whatever preview. */
export interface PreviewedPackage {
  readonly packageId: string;
  /** The version that would travel. */
  readonly sourceVersion: number;
  readonly publishedVersion: number;
  readonly sourceUnchanged: boolean;
  readonly sizeBytes: number;
  readonly fileCount: number;
  readonly newFiles: number;
  readonly newBytes: number;
}

/** A part of a preview: first the version, then the ways. */
export type PreviewPart =
  | { readonly version: PreviewedPackage }
  | { readonly transfer: PreviewedTransfer };

/** A DP that would get something. */
export interface PreviewTarget {
  readonly dpId: string;
  readonly siteCode: string;
  /** It has the version, or is about to: asking for it would change nothing. */
  readonly isOnItsWay: boolean;
}

/** What another site reckons that a DP lacks. */
export interface ReckonedBytes {
  readonly bytes: number;
  readonly manifestBytes: number;
  readonly fileCount: number;
  readonly basis: PreviewBasis;
}

/** Bytes and files of contents together. */
export function sumsOf(
  contents: readonly { readonly sizeBytes: number; readonly fileCount: number }[],
): { readonly sizeBytes: number; readonly fileCount: number } {
  return {
    sizeBytes: contents.reduce((sum, one) => sum + one.sizeBytes, 0),
    fileCount: contents.reduce((sum, one) => sum + one.fileCount, 0),
  };
}

/** What several parts bring together. */
export function totalOf(
  transfers: readonly PreviewedTransfer[],
): Pick<PreviewedTransfer, 'bytes' | 'manifestBytes' | 'fileCount'> {
  return {
    bytes: transfers.reduce((sum, one) => sum + one.bytes, 0),
    manifestBytes: transfers.reduce((sum, one) => sum + one.manifestBytes, 0),
    fileCount: transfers.reduce((sum, one) => sum + one.fileCount, 0),
  };
}
