/** What the last validation of a package on a DP has found: the row of "validation results" (PKG-8). */
export interface ValidationResult {
  readonly packageId: string;
  readonly siteCode: string;
  readonly dpId: string;
  readonly sourceVersion: number;
  readonly checkedAtMs: number;
  readonly fileCount: number;
  readonly damagedCount: number;
  readonly missingCount: number;
  /** Files whose name is in the list that are whole again since. */
  readonly repairedCount: number;
  /** The first of those that were not as they should be; at most `namedFilesMax`. */
  readonly files: readonly UnsoundFile[];
}

export interface UnsoundFile {
  /** In its content; of a file that stands there several times, one of its names. */
  readonly path: string;
  /** BLAKE3-256, hexadecimal. */
  readonly fileHash: string;
  readonly finding: 'damaged' | 'missing';
}

/** Files a result names; how many there are it counts. */
export const namedFilesMax = 100;
