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
  /** Of the damaged and missing ones, how many are whole again since. */
  readonly repairedCount: number;
  /** The first of those that were not as they should be; at most `namedFilesMax`. */
  readonly files: readonly UnsoundFile[];
  /** A manifest was damaged: what stands in it was not looked at yet. */
  readonly isPartial?: true;
  /** The wish it came from; absent in rows of an older program. */
  readonly wishId?: string;
  /** Why the last validation told nothing; absent when it did. */
  readonly failure?: string;
}

export interface UnsoundFile {
  /**
   * In its content; of a file that stands there several times, one of its names. Of what is no file of
   * the package, its name in the library, such as PS100001.3.manifest.
   */
  readonly path: string;
  /** BLAKE3-256, hexadecimal. */
  readonly fileHash: string;
  readonly finding: 'damaged' | 'missing';
  /** Such as "it is cut: 10 of 20 bytes"; absent in rows of an older program. */
  readonly detail?: string;
}

/** Longest detail. */
export const findingDetailCharsMax = 200;

/** Whether a result speaks of files that are not whole again. */
export function isUnsound(result: ValidationResult): boolean {
  return result.damagedCount + result.missingCount > result.repairedCount;
}

/** The result once all that it speaks of was brought again. */
export function asRepaired({ failure: _, ...result }: ValidationResult): ValidationResult {
  return { ...result, repairedCount: result.damagedCount + result.missingCount };
}

/** A result that tells of what an earlier one found as well, all of which is whole again. */
export function withRepaired(result: ValidationResult, before: ValidationResult): ValidationResult {
  const repairedCount = before.damagedCount + before.missingCount;
  return {
    ...result,
    damagedCount: result.damagedCount + before.damagedCount,
    missingCount: result.missingCount + before.missingCount,
    repairedCount: result.repairedCount + repairedCount,
    files: [...result.files, ...before.files].slice(0, namedFilesMax),
  };
}

/** Files a result names; how many there are it counts. */
export const namedFilesMax = 100;
