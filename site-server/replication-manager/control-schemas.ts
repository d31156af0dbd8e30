import { z } from 'zod';
import type { ComponentSetting } from '../../shared/domain/component-settings.ts';
import type {
  DistributionPointGroup,
  GroupAssignment,
  GroupMember,
} from '../../shared/domain/distribution-point-group.ts';
import { isTimeZone } from '../../shared/domain/hour-of-week.ts';
import type { ReplicatedTable } from '../../shared/domain/replicated-tables.ts';
import { requestLimits as limits } from '../../shared/domain/request-limits.ts';
import {
  bytesPerSecondMax,
  bytesPerSecondMin,
  hoursOfWeek,
  pulseBlockBytesMax,
  pulseBlockBytesMin,
  pulseDelayMsMax,
  type RateLimit,
  type TransferControls,
  type TransferSchedule,
  windowLevels,
} from '../../shared/domain/transfer-controls.ts';
import type { TransferLink } from '../../shared/domain/transfer-link.ts';
import { everyHoursMax, type ValidationSchedule } from '../../shared/domain/validation-schedule.ts';
import { count, dpId, objectName, packageId, row, siteCode, text } from './row-fields.ts';

const timeZone = z.string().refine(isTimeZone, 'expected a time zone');
/** Bytes per second. */
export const rate = z.int().min(bytesPerSecondMin).max(bytesPerSecondMax);

const schedule = row<TransferSchedule>({
  timeZone,
  hours: z.array(z.literal(windowLevels)).length(hoursOfWeek),
});

const limit: z.ZodType<RateLimit> = z.discriminatedUnion('kind', [
  z.looseObject({ kind: z.literal('rate'), bytesPerSecond: rate }),
  z.looseObject({
    kind: z.literal('pulse'),
    blockBytes: z.int().min(pulseBlockBytesMin).max(pulseBlockBytesMax),
    delayMs: z.int().min(1).max(pulseDelayMsMax),
  }),
  z.looseObject({
    kind: z.literal('hourly'),
    timeZone,
    bytesPerSecond: z.array(z.union([z.literal(0), rate])).length(hoursOfWeek),
  }),
]);

const controls = row<TransferControls>({
  schedule: schedule.optional() as z.ZodType<TransferSchedule>,
  limit: limit.optional() as z.ZodType<RateLimit>,
});
/** Schedule and limit of what has them. */
export const noControlsOr = controls.optional() as z.ZodType<TransferControls>;

/** How often what is at a distribution point is validated. */
export const validationSchedule = row<ValidationSchedule>({
  everyHours: z.int().min(1).max(everyHoursMax),
  bytesPerSecond: z.union([z.literal(0), rate]),
});

/** What a row of each table of controls must look like. */
export const controlSchemas = {
  links: row<TransferLink>({
    linkName: objectName,
    description: text(limits.descriptionCharsMax),
    siteCode,
    dpIds: z.array(dpId).max(limits.linkMemberCountMax),
    toSiteCodes: z.array(siteCode).max(limits.linkMemberCountMax),
    controls,
  }),
  'distribution-point-groups': row<DistributionPointGroup>({
    groupName: objectName,
    description: text(limits.descriptionCharsMax),
  }),
  'group-members': row<GroupMember>({
    groupName: objectName,
    dpId,
    joinedAtMs: count,
    leftAtMs: count,
    isDropping: z.boolean(),
  }),
  'group-assignments': row<GroupAssignment>({
    groupName: objectName,
    packageId,
    intent: z.literal(['installed', 'removed']),
    saidAtMs: count,
    sinceMs: count,
  }),
  'component-settings': row<ComponentSetting>({
    siteCode,
    settingName: objectName,
    value: z.int(),
  }),
} as const satisfies Partial<Record<ReplicatedTable, z.ZodType>>;
