import type { RateLimit, TransferControls, TransferSchedule } from './transfer-controls.ts';

/** What an administrator changes of controls; what is absent stays, 'none' takes away. */
export interface TransferControlsPatch {
  readonly schedule?: TransferSchedule | 'none';
  readonly limit?: RateLimit | 'none';
}

/** The controls with what the patch says; undefined when nothing is set any more. */
export function patchedControls(
  before: TransferControls | undefined,
  patch: TransferControlsPatch | undefined,
): TransferControls | undefined {
  const schedule = patch?.schedule ?? before?.schedule;
  const limit = patch?.limit ?? before?.limit;
  const controls = {
    ...(schedule && schedule !== 'none' && { schedule }),
    ...(limit && limit !== 'none' && { limit }),
  };
  return Object.keys(controls).length > 0 ? controls : undefined;
}

/** The patch that makes any controls these. */
export function wholePatch(controls: TransferControls | undefined): TransferControlsPatch {
  return { schedule: controls?.schedule ?? 'none', limit: controls?.limit ?? 'none' };
}
