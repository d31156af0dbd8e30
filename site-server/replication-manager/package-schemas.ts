import { z } from 'zod';
import type { ContentDescriptor } from '../../shared/domain/content.ts';
import type {
  PackageAssignment,
  PackageDefinition,
  PackageRequests,
  SiteContent,
} from '../../shared/domain/hierarchy-package.ts';
import type { PackageProperties, Program } from '../../shared/domain/package.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import type { ReplicatedTable } from '../../shared/domain/replicated-tables.ts';
import { requestLimits as limits } from '../../shared/domain/request-limits.ts';
import type { ForwardingFailure } from '../../shared/domain/site-delivery.ts';
import type {
  PackageSource,
  SitePackage,
  TakenRequests,
} from '../../shared/domain/site-package.ts';
import type { ValidationRequest } from '../../shared/domain/validation-request.ts';
import {
  findingDetailCharsMax,
  namedFilesMax,
  type UnsoundFile,
  type ValidationResult,
} from '../../shared/domain/validation-result.ts';
import { rate } from './control-schemas.ts';
import {
  count,
  dpId,
  hash,
  noDpOr,
  packageId,
  row,
  sentence,
  shortText,
  siteCode,
  text,
} from './row-fields.ts';

/** Updates one site may ask for: those of all sites are added up, and still are a whole number. */
const updateCountMax = 2 ** 32;

const program = row<Program>({
  name: text(limits.programNameCharsMax),
  commandLine: text(limits.commandLineCharsMax),
});

const properties = row<PackageProperties>({
  name: text(limits.packageNameCharsMax),
  version: shortText,
  manufacturer: shortText,
  language: shortText,
  description: text(limits.descriptionCharsMax),
  priority: z.literal([1, 2, 3]),
  programs: z.array(program).max(limits.programCountMax),
  iconName: shortText,
  iconBase64: text(Math.ceil(limits.iconBytesMax / 3) * 4).regex(/^[A-Za-z0-9+/]*={0,2}$/),
});

const directories = z.array(text(limits.sourcePathBytesMax)).max(limits.sourceCountMax);

const descriptor = row<ContentDescriptor>({
  contentId: shortText,
  contentHash: hash,
  signatureHash: hash,
  manifestBytes: count,
  signatureBytes: count,
  entryCount: count,
  fileCount: count,
  sizeBytes: count,
});

const source = row<PackageSource>({
  directory: text(limits.sourcePathBytesMax),
  contentName: shortText,
  content: descriptor.optional() as z.ZodType<ContentDescriptor>,
});

const takenRequests = row<TakenRequests>({
  takenCount: count,
  acceptedAs: count,
  handledBefore: count,
});

const sitePackage = row<SitePackage>({
  packageId,
  properties,
  sourceSiteCode: siteCode,
  sources: z.array(source).max(limits.sourceCountMax),
  sourceVersion: count,
  packageHash: hash,
  state: z.literal(['pending', 'snapshot', 'published', 'failed', 'deleting', 'deleted']),
  reason: sentence,
  acceptedRequestCount: count,
  handledRequestCount: count,
  sourceUnchanged: z.boolean(),
  requestsTaken: z.record(siteCode, takenRequests).optional() as z.ZodType<
    Readonly<Record<string, TakenRequests>>
  >,
  awaitedVersion: count.optional() as z.ZodType<number>,
  isUnconfirmed: z.literal(true).optional() as z.ZodType<true>,
  createdAtMs: count,
  updatedAtMs: count,
});

const packageStatus = row<PackageStatus>({
  packageId,
  dpId: noDpOr,
  state: z.literal([
    ...(['installed', 'install-pending', 'install-retrying', 'install-failed'] as const),
    ...(['removal-pending', 'removal-retrying', 'removal-failed', 'content-updating'] as const),
  ]),
  installedVersion: count,
  targetVersion: count,
  reason: sentence,
  changedAtMs: count,
  jobSerial: count,
  verifiedHash: hash,
});

const unsoundFile = row<UnsoundFile>({
  path: text(limits.sourcePathBytesMax),
  fileHash: hash,
  finding: z.literal(['damaged', 'missing']),
  detail: text(findingDetailCharsMax).optional() as z.ZodType<string>,
});

const packageAssignment = row<PackageAssignment>({
  packageId,
  dpId,
  siteCode,
  intent: z.literal(['installed', 'removed']),
  action: z.literal(['add', 'redistribute', 'remove']),
  wishId: text(64),
  wishedAtMs: count,
});

/** Its source site takes it into the row of what it publishes, which must not become too long. */
function isOfPackageSize({ properties, directories }: PackageDefinition): boolean {
  return Buffer.byteLength(JSON.stringify({ properties, directories })) <= limits.packageBytesMax;
}

/** What a row of each table about packages must look like. */
export const packageSchemas = {
  'package-definitions': row<PackageDefinition>({
    packageId,
    sourceSiteCode: siteCode,
    properties,
    directories,
  }).refine(isOfPackageSize, `expected at most ${limits.packageBytesMax} bytes`),
  'package-requests': row<PackageRequests>({
    packageId,
    siteCode,
    updateCount: count.max(updateCountMax),
    isDeletion: z.boolean(),
  }),
  'package-assignments': packageAssignment,
  'published-packages': sitePackage,
  'site-contents': row<SiteContent>({
    packageId,
    siteCode,
    state: z.literal(['none', 'arriving', 'stored', 'refused']),
    storedVersion: count,
    storedHash: hash,
    reason: sentence,
    refusedJobId: text(64),
    needsFull: z.boolean(),
    changedAtMs: count,
  }),
  'forwarding-failures': row<ForwardingFailure>({
    packageId,
    siteCode,
    finalSiteCode: siteCode,
    jobId: text(64),
    mayRepeat: z.boolean(),
    reason: sentence,
    failedAtMs: count,
  }),
  'site-package-status': packageStatus,
  'group-wishes': packageAssignment,
  'validation-requests': row<ValidationRequest>({
    packageId,
    dpId,
    wishId: text(64),
    wishedAtMs: count,
    repair: z.boolean(),
    bytesPerSecond: z.union([z.literal(0), rate]),
    round: count.optional() as z.ZodType<number>,
  }),
  'validation-results': row<ValidationResult>({
    packageId,
    siteCode,
    dpId: noDpOr,
    sourceVersion: count,
    checkedAtMs: count,
    fileCount: count,
    damagedCount: count,
    missingCount: count,
    repairedCount: count,
    files: z.array(unsoundFile).max(namedFilesMax),
    wishId: text(80).optional() as z.ZodType<string>,
    failure: sentence.optional() as z.ZodType<string>,
    isPartial: z.literal(true).optional() as z.ZodType<true>,
  }),
} as const satisfies Partial<Record<ReplicatedTable, z.ZodType>>;
