import { isErrorWithCode } from '../domain/errors.ts';

/** What the system says when a disk, or what somebody may use of it, is full. */
const fullDiskCodes: readonly unknown[] = ['ENOSPC', 'EDQUOT'];

/** Whether something failed since a disk is full, whoever met that. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (isErrorWithCode(error, 'DISK_FULL')) return true;
  const isOfSystem = 'code' in error && fullDiskCodes.includes(error.code);
  return isOfSystem || isDiskFull(error.cause);
}
