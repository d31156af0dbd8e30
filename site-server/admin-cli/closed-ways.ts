import { prioritiesOpenTo, type TransferSchedule } from '../../shared/domain/transfer-controls.ts';
import type { Admin } from './admin.ts';
import { toDistributionPointRecord } from './distribution-point-record.ts';
import { lookAfterwards } from './look-afterwards.ts';
import type { Output } from './output.ts';
import { toPackageRecord } from './package-record.ts';

/** A way whose schedule was just set. */
export interface ScheduledWay {
  /** Null, or absent: always open. */
  readonly schedule: TransferSchedule | null | undefined;
  /** What comes of it while the way is closed: `packages for PS1DP1 will wait`. */
  readonly effect: string;
}

/** Whom to ask, and where to tell it. */
interface Asking {
  readonly admin: Admin;
  readonly output: Output;
}

const priorityWords = { 1: 'high', 2: 'normal', 3: 'low' } as const;

/**
 * A record as `--json` shows it: with what is warned of, where anything is, and it could be looked up. Asks nobody without
 * `--json`: people are told what was done first, and then by `tellWarnings`.
 */
export async function withWarnings<R extends object>(
  { admin, output }: Asking,
  record: R,
  ways: readonly ScheduledWay[],
  others: OtherWarnings = noOthers,
): Promise<R & { readonly warnings?: readonly string[] }> {
  const warnings = output.json ? await allWarnings({ admin, output }, ways, others) : [];
  return warnings.length > 0 ? { ...record, warnings } : record;
}

/** Tells people of them, as the last of what there is to tell. */
export async function tellWarnings(
  { admin, output }: Asking,
  ways: readonly ScheduledWay[],
  others: OtherWarnings = noOthers,
): Promise<void> {
  if (output.json) return;
  for (const warning of await allWarnings({ admin, output }, ways, others))
    output.sentence(warning);
}

/** Looks for what else is to be warned of. */
export type OtherWarnings = (asking: Asking) => Promise<string[]>;

const noOthers: OtherWarnings = async () => [];

async function allWarnings(
  asking: Asking,
  ways: readonly ScheduledWay[],
  others: OtherWarnings,
): Promise<string[]> {
  return [...(await others(asking)), ...(await closedWayWarnings(asking, ways))];
}

/**
 * Sentences about schedules with which everything waits until they are changed: that open in no hour, or
 * only to packages of a priority that none has, as far as the site that is asked knows.
 */
async function closedWayWarnings(
  { admin, output }: Asking,
  ways: readonly ScheduledWay[],
): Promise<string[]> {
  const warnings: string[] = [];
  for (const { schedule, effect } of ways) {
    if (!schedule) continue;
    const words = prioritiesOpenTo(schedule).map((priority) => priorityWords[priority]);
    const until = `${effect} until it is changed.`;
    if (words.length === 0) {
      warnings.push(`The schedule never opens: ${until}`);
    } else if (words.length < 3) {
      const level = words.join(' or ');
      const unknown = `whether there is a package of ${level} priority`;
      if ((await lookAfterwards(output, unknown, () => isAnyOf(admin, words))) !== false) continue;
      warnings.push(
        `The schedule opens only to packages of ${level} priority, and there is none: ${until}`,
      );
    }
  }
  return warnings;
}

/** Warns of those of some DPs whose schedule never opens to a package that was just sent to them. */
export function closedTargetWarnings(packageId: string, dpIds: readonly string[]): OtherWarnings {
  return async ({ admin, output }) => {
    const look = () => closedTargets(admin, packageId, new Set(dpIds));
    const closed = await lookAfterwards(output, 'whether the schedules ever open', look);
    return [...(closed ?? [])].map(
      ([when, names]) => `${when}: packages for ${names.join(', ')} will wait until it is changed.`,
    );
  };
}

/** The DPs, by what is to be said of their schedules. */
async function closedTargets(
  admin: Admin,
  packageId: string,
  dpIds: ReadonlySet<string>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const closed = new Map<string, string[]>();
  const points = (await admin.list('listDistributionPoints', {})).filter(({ dpId, controls }) => {
    return controls?.schedule && dpIds.has(dpId);
  });
  if (points.length === 0) return closed;
  const { priority } = toPackageRecord(await admin.ask('getPackage', { packageId }));
  for (const { dpId, controls } of points.map(toDistributionPointRecord)) {
    if (!controls?.schedule) continue;
    const words = prioritiesOpenTo(controls.schedule).map((one) => priorityWords[one]);
    if (words.some((word) => word === priority)) continue;
    const to = words.length === 0 ? '' : ` to packages of ${priority} priority`;
    const when = `The schedule never opens${to}`;
    closed.set(when, [...(closed.get(when) ?? []), dpId]);
  }
  return closed;
}

async function isAnyOf(admin: Admin, words: readonly string[]): Promise<boolean> {
  const packages = (await admin.list('listPackages', {})).map(toPackageRecord);
  return packages.some(({ priority }) => words.includes(priority));
}
