import { prioritiesOpenTo, type TransferSchedule } from '../../shared/domain/transfer-controls.ts';
import type { Admin } from './admin.ts';
import { toPackageRecord } from './package-record.ts';

/** A way whose schedule was just set. */
export interface ScheduledWay {
  /** Null, or absent: always open. */
  readonly schedule: TransferSchedule | null | undefined;
  /** What comes of it while the way is closed: `packages for PS1DP1 will wait`. */
  readonly effect: string;
}

const priorityWords = { 1: 'high', 2: 'normal', 3: 'low' } as const;

/**
 * Sentences about schedules with which everything waits until they are changed: that open in no hour, or
 * only to packages of a priority that none has, as far as the site that is asked knows.
 */
export async function closedWayWarnings(
  admin: Admin,
  ways: readonly ScheduledWay[],
): Promise<string[]> {
  const warnings: string[] = [];
  for (const { schedule, effect } of ways) {
    if (!schedule) continue;
    const words = prioritiesOpenTo(schedule).map((priority) => priorityWords[priority]);
    const until = `${effect} until it is changed.`;
    if (words.length === 0) {
      warnings.push(`The schedule never opens: ${until}`);
    } else if (words.length < 3 && !(await isAnyOf(admin, words))) {
      const level = words.join(' or ');
      warnings.push(
        `The schedule opens only to packages of ${level} priority, and there is none: ${until}`,
      );
    }
  }
  return warnings;
}

/** A record as `--json` shows it: with what is warned of, where anything is. */
export function withWarnings<R extends object>(record: R, warnings: readonly string[]): R {
  return warnings.length > 0 ? { ...record, warnings } : record;
}

async function isAnyOf(admin: Admin, words: readonly string[]): Promise<boolean> {
  const packages = (await admin.list('listPackages', {})).map(toPackageRecord);
  return packages.some(({ priority }) => words.includes(priority));
}
