import type { JobAction } from './distribution-job.ts';

/** The newest action a DP has seen for a package; older ones are refused: row of "package actions". */
export interface PackageAction {
  readonly jobSerial: number;
  readonly action: JobAction;
}
