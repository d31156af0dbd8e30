/** A package on one DP (or, with an empty dpId, on its own site). */
export type PackageStatusState =
  | 'installed'
  | 'install-pending'
  | 'install-retrying'
  | 'install-failed'
  | 'removal-pending'
  | 'removal-retrying'
  | 'removal-failed'
  | 'content-updating';

export interface PackageStatus {
  readonly packageId: string;
  readonly dpId: string;
  readonly state: PackageStatusState;
  /** 0 when no version is installed. */
  readonly installedVersion: number;
  /** 0 when the package is being removed. */
  readonly targetVersion: number;
  readonly reason: string;
  readonly changedAtMs: number;
  /** The newest job made for this row; 0 before the first, and on the site itself. */
  readonly jobSerial: number;
  /** BLAKE3-256 of what the DP verified and serves; empty when nothing is installed. */
  readonly verifiedHash: string;
}

/** Whether an administrator should look at it. */
export function isFailed(state: PackageStatusState): boolean {
  return state === 'install-failed' || state === 'removal-failed';
}
