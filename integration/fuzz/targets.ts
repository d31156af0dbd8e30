import { certificateTargets } from './certificate-targets.ts';
import { contentTargets } from './content-targets.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { peerTargets } from './peer-targets.ts';

/** Every parser of ours that reads what somebody else wrote. */
export const fuzzTargets: readonly FuzzTarget[] = [
  ...contentTargets,
  ...peerTargets,
  ...certificateTargets,
];
