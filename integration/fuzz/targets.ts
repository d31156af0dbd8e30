import { adminTargets } from './admin-targets.ts';
import { brokenTargets } from './broken-targets.ts';
import { certificateTargets } from './certificate-targets.ts';
import { contentTargets } from './content-targets.ts';
import { diskTargets } from './disk-targets.ts';
import { dpTargets } from './dp-targets.ts';
import { enrollmentTargets } from './enrollment-targets.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { ownFileTargets } from './own-file-targets.ts';
import { peerTargets } from './peer-targets.ts';
import { wireTargets } from './wire-targets.ts';

/** Every parser of ours that reads what somebody else wrote, or what a disk may have spoilt. */
export const fuzzTargets: readonly FuzzTarget[] = [
  ...contentTargets,
  ...peerTargets,
  ...wireTargets,
  ...certificateTargets,
  ...enrollmentTargets,
  ...diskTargets,
  ...ownFileTargets,
  ...dpTargets,
  ...adminTargets,
];

/** One of these, or one that is broken on purpose, by its name. */
export function fuzzTargetOf(name: string | undefined): FuzzTarget | undefined {
  return [...fuzzTargets, ...brokenTargets].find((one) => one.name === name);
}
