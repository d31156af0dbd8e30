import type { Argv } from 'yargs';
import { bytesPerSecondMax, bytesPerSecondMin } from '../../shared/domain/transfer-controls.ts';
import { everyHoursMax, type ValidationSchedule } from '../../shared/domain/validation-schedule.ts';
import type { GlobalArguments } from './command.ts';
import { UsageError } from './command-failure.ts';
import { durationText, option } from './options.ts';
import { parseRate, toExactRateText } from './rate-text.ts';

const hourMs = 3_600_000;

const rateRange = [bytesPerSecondMin, bytesPerSecondMax].map(toExactRateText).join(' to ');

/** How fast a library is read. */
export const readRateText = {
  parse: (text: string): number | undefined => {
    const rate = parseRate(text) ?? 0;
    return rate >= bytesPerSecondMin && rate <= bytesPerSecondMax ? rate : undefined;
  },
  expected: `a rate of ${rateRange}, such as 500kB/s or 20MB/s`,
};

const none = 'none';

/** Whole hours; or that there shall be no schedule. */
const everyText = {
  parse: (text: string): number | typeof none | undefined => {
    if (text === none) return none;
    const hours = (durationText.parse(text) ?? 0) / hourMs;
    const isPeriod = Number.isInteger(hours) && hours >= 1 && hours <= everyHoursMax;
    return isPeriod ? hours : undefined;
  },
  expected: `whole hours or days such as 12h or 7d, at most ${everyHoursMax}h, or ${none}`,
};

/** Adds what `dp add` and `dp set` say of when the packages of a DP are validated. */
export function validationOptions<A extends GlobalArguments>(parser: Argv<A>) {
  return parser
    .option(
      'validate-every',
      option('validate-every', 'Validate each package so often: 12h, 7d; or none', everyText),
    )
    .option(
      'validate-rate',
      option('validate-rate', 'How fast it reads then, such as 20MB/s', readRateText),
    );
}

/** The schedule as the wire wants it; nothing when none was given. @throws UsageError */
export function givenValidation(
  args: {
    readonly validateEvery?: number | typeof none | undefined;
    readonly validateRate?: number | undefined;
  },
  present: ValidationSchedule | null,
): { validation?: ValidationSchedule } {
  const { validateEvery: every, validateRate: rate } = args;
  if (every === undefined && rate === undefined) return {};
  if (every === none) {
    if (rate !== undefined) throw new UsageError('--validate-rate needs a schedule, not none');
    return { validation: { everyHours: 0, bytesPerSecond: 0 } };
  }
  const everyHours = every ?? present?.everyHours;
  if (everyHours === undefined) throw new UsageError('--validate-rate needs --validate-every');
  return { validation: { everyHours, bytesPerSecond: rate ?? present?.bytesPerSecond ?? 0 } };
}

/** `every 7 d`, `every 12 h at 20MB/s`; empty without a schedule. */
export function toValidationText(schedule: ValidationSchedule | null): string {
  if (!schedule) return '';
  const { everyHours, bytesPerSecond } = schedule;
  const every = everyHours % 24 === 0 ? `${everyHours / 24} d` : `${everyHours} h`;
  return bytesPerSecond > 0
    ? `every ${every} at ${toExactRateText(bytesPerSecond)}`
    : `every ${every}`;
}
