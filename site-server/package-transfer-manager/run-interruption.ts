import type { WaitingReason } from '../../shared/domain/distribution-job.ts';

/** A run was aborted, other than by the stop of the program. */
export class RunInterrupted extends Error {}

/** Why: the job is not to go on, is to run anew at once, or when what it waits for is there. */
export type RunInterruption =
  | { readonly kind: 'withdrawn' | 'again'; readonly reason: string }
  | { readonly kind: 'gave-way'; readonly waitingReason: WaitingReason; readonly reason: string };
