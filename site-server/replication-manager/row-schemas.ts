import { z } from 'zod';
import { bundleRootCountMax } from '../../shared/certificates/trust-bundle.ts';
import type { AuditHead } from '../../shared/domain/audit-record.ts';
import type { ComponentSetting } from '../../shared/domain/component-settings.ts';
import type { ContentDescriptor } from '../../shared/domain/content.ts';
import {
  type DistributionPoint,
  distributionPointPriorityMax,
  distributionPointPriorityMin,
  parseAddress,
  parseDistributionPointId,
} from '../../shared/domain/distribution-point.ts';
import type {
  DistributionPointGroup,
  GroupAssignment,
  GroupMember,
} from '../../shared/domain/distribution-point-group.ts';
import type {
  PackageAssignment,
  PackageDefinition,
  PackageRequests,
  SiteContent,
} from '../../shared/domain/hierarchy-package.ts';
import { isTimeZone } from '../../shared/domain/hour-of-week.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import {
  type PackageProperties,
  type Program,
  parsePackageId,
} from '../../shared/domain/package.ts';
import type { PackageStatus } from '../../shared/domain/package-status.ts';
import {
  type ConfiguredSource,
  configuredSourceCountMax,
  type PullSettings,
} from '../../shared/domain/pull-source.ts';
import type { ReplicatedTable } from '../../shared/domain/replicated-tables.ts';
import { requestLimits as limits } from '../../shared/domain/request-limits.ts';
import {
  parseHolder,
  type Revocation,
  revocationReasonCharsMax,
} from '../../shared/domain/revocation.ts';
import { type RootStanding, standingNamesMax } from '../../shared/domain/root-standing.ts';
import {
  parseSiteCode,
  type SigningKey,
  type SiteDefinition,
  type SiteIdentity,
  type SiteRoute,
} from '../../shared/domain/site.ts';
import type { ForwardingFailure } from '../../shared/domain/site-delivery.ts';
import type {
  PackageSource,
  SitePackage,
  TakenRequests,
} from '../../shared/domain/site-package.ts';
import type { StatusMessage } from '../../shared/domain/status-message.ts';
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
import type {
  RootSignature,
  SiteAuthorityRow,
  TrustBundleRow,
} from '../../shared/domain/trust-bundle.ts';
import type { ValidationRequest } from '../../shared/domain/validation-request.ts';
import {
  findingDetailCharsMax,
  namedFilesMax,
  type UnsoundFile,
  type ValidationResult,
} from '../../shared/domain/validation-result.ts';
import { everyHoursMax, type ValidationSchedule } from '../../shared/domain/validation-schedule.ts';

/** A sentence of this program, such as a reason. */
const sentenceCharsMax = 16_384;
const certificateCharsMax = 32_768;
/** An administrator with a long scope, written out. */
const identityUriCharsMax = 4_096;
const signingKeyCountMax = 64;
const addressCountMax = 32;
const insertionStringCountMax = 9;
/** Updates one site may ask for: those of all sites are added up, and still are a whole number. */
const updateCountMax = 2 ** 32;
/** Fields of a newer program in one object of a row, as JSON. */
const unknownCharsMax = 4_096;

/** Limits of requests count code points, of which one may be two units here. */
const text = (charsMax: number) => z.string().max(2 * charsMax);
const parsed = (parse: (text: string) => string | undefined, what: string) =>
  z.string().refine((value) => parse(value) !== undefined, `expected ${what}`);
const siteCode = parsed(parseSiteCode, 'a site code');
const noSiteOr = z.union([z.literal(''), siteCode]);
const packageId = parsed(parsePackageId, 'a package ID');
const dpId = parsed(parseDistributionPointId, 'the name of a distribution point');
const noDpOr = z.union([z.literal(''), dpId]);
const address = parsed(parseAddress, 'host:port');
const count = z.int().min(0);
const hash = z.string().regex(/^([0-9a-f]{64})?$/);
const sentence = text(sentenceCharsMax);
const shortText = text(limits.shortTextCharsMax);

/**
 * Every field of T, so that a new field of a row cannot be forgotten here. Others are of a newer
 * program: they are kept and passed on, as long as they are few, so that sites can be brought up to
 * date one after another.
 */
function row<T>(shape: { readonly [K in keyof T]-?: z.ZodType<T[K]> }): z.ZodType<T> {
  const isSmall = (value: object) => {
    const others = Object.entries(value).filter(([field]) => !Object.hasOwn(shape, field));
    return others.length === 0 || JSON.stringify(others).length <= unknownCharsMax;
  };
  const expected = `at most ${unknownCharsMax} characters in fields that are not known here`;
  return z.looseObject(shape).refine(isSmall, expected) as unknown as z.ZodType<T>;
}

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

const signingKey = row<SigningKey>({
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  publicKey: text(1_024),
  createdAtMs: count,
  retiredAtMs: count,
});

const pull = row<PullSettings>({
  sources: z
    .array(row<ConfiguredSource>({ dpId, rank: z.int().min(1) }))
    .max(configuredSourceCountMax),
  allowFallback: z.boolean(),
  packagesMax: z.int().min(1),
});

const unsoundFile = row<UnsoundFile>({
  path: text(limits.sourcePathBytesMax),
  fileHash: hash,
  finding: z.literal(['damaged', 'missing']),
  detail: text(findingDetailCharsMax).optional() as z.ZodType<string>,
});
const objectName = parsed(parseObjectName, 'a name');
const timeZone = z.string().refine(isTimeZone, 'expected a time zone');
const rate = z.int().min(bytesPerSecondMin).max(bytesPerSecondMax);

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
const noControlsOr = controls.optional() as z.ZodType<TransferControls>;

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

const validationSchedule = row<ValidationSchedule>({
  everyHours: z.int().min(1).max(everyHoursMax),
  bytesPerSecond: z.union([z.literal(0), rate]),
});

const rootSignature = row<RootSignature>({
  rootKeyId: z.string().regex(/^[0-9a-f]{64}$/),
  signature: text(4_096),
});

/** What a row of each table must look like, whoever sends it; every text of it is bounded. */
const rowSchemas = {
  sites: row<SiteDefinition>({
    siteCode,
    kind: z.literal(['central-administration', 'primary', 'secondary']),
    parentSiteCode: noSiteOr,
    address: z.union([z.literal(''), address]),
    description: text(limits.descriptionCharsMax),
  }),
  'site-identities': row<SiteIdentity>({
    siteCode,
    address: z.union([z.literal(''), address]),
    agentVersion: shortText,
    signingKeys: z.array(signingKey).max(signingKeyCountMax),
    signedAtMs: count,
    certificate: text(certificateCharsMax),
    signature: text(4_096),
  }),
  routes: row<SiteRoute>({
    fromSiteCode: siteCode,
    toSiteCode: siteCode,
    addresses: z.array(address).max(addressCountMax),
    controls: noControlsOr,
  }),
  'trust-bundles': row<TrustBundleRow>({
    generation: count,
    roots: z.array(text(certificateCharsMax)).max(bundleRootCountMax),
    signedAtMs: count,
    signatures: z.array(rootSignature).max(bundleRootCountMax),
  }),
  'site-authorities': row<SiteAuthorityRow>({ siteCode, certificate: text(certificateCharsMax) }),
  'hierarchy-distribution-points': row<DistributionPoint>({
    dpId,
    address,
    kind: z.literal(['standard', 'pull']),
    description: text(limits.descriptionCharsMax),
    siteCode,
    pull: pull.optional() as z.ZodType<PullSettings>,
    controls: noControlsOr,
    serveControls: noControlsOr,
    validation: validationSchedule.optional() as z.ZodType<ValidationSchedule>,
    pinnedPriority: z
      .int()
      .min(distributionPointPriorityMin)
      .max(distributionPointPriorityMax)
      .optional() as z.ZodType<number>,
  }),
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
  'audit-heads': row<AuditHead>({
    siteCode,
    serial: count,
    hash: z.string().regex(/^[0-9a-f]{64}$/),
    toldAtMs: count,
  }),
  'root-standings': row<RootStanding>({
    siteCode,
    generation: count,
    behind: z.array(parsed(parseHolder, 'a holder')).max(standingNamesMax),
    behindCount: count,
  }),
  'component-settings': row<ComponentSetting>({
    siteCode,
    settingName: objectName,
    value: z.int(),
  }),
  revocations: row<Revocation>({
    siteCode,
    holder: parsed(parseHolder, 'a holder'),
    revokedAtMs: count,
    reason: text(revocationReasonCharsMax),
    revokedBy: text(identityUriCharsMax),
  }),
} as const satisfies Record<ReplicatedTable, z.ZodType>;

/** Which field of a row each part of its key repeats; '' where the row does not say it. */
const keyFields: { readonly [T in ReplicatedTable]: readonly string[] } = {
  sites: ['siteCode'],
  'site-identities': ['siteCode'],
  routes: ['fromSiteCode', 'toSiteCode'],
  'trust-bundles': [''],
  'site-authorities': ['siteCode'],
  'hierarchy-distribution-points': ['dpId'],
  'package-definitions': ['packageId'],
  'package-requests': ['packageId', 'siteCode'],
  'package-assignments': ['packageId', 'dpId'],
  'published-packages': ['packageId'],
  'site-contents': ['packageId', 'siteCode'],
  'forwarding-failures': ['packageId', 'siteCode', 'finalSiteCode'],
  'site-package-status': ['packageId', '', 'dpId'],
  links: ['linkName'],
  'distribution-point-groups': ['groupName'],
  'group-members': ['groupName', 'dpId'],
  'group-assignments': ['packageId', 'groupName'],
  'group-wishes': ['packageId', 'dpId'],
  'validation-requests': ['packageId', 'dpId'],
  'validation-results': ['packageId', 'siteCode', 'dpId'],
  'audit-heads': ['siteCode'],
  'root-standings': ['siteCode'],
  'component-settings': ['siteCode', 'settingName'],
  // Its holder: see Revocations.
  revocations: ['siteCode', '', ''],
};

const statusMessage = row<StatusMessage>({
  serial: count,
  // Of a newer program it may be one that is not known here: it is shown as what it is.
  messageId: z.int().min(1) as unknown as z.ZodType<StatusMessage['messageId']>,
  timeMs: count,
  siteCode,
  insertionStrings: z.array(sentence).max(insertionStringCountMax),
  packageId: z.union([z.literal(''), packageId]),
  sourceVersion: count,
  dpId: noDpOr,
});

/** What a text says, or why it is refused. */
export type Parsed<T> = { readonly value: T } | { readonly refusal: string };

/** The row that stands in a message. */
export function parseRow(table: ReplicatedTable, key: string, json: string): Parsed<unknown> {
  const result = parseJson(rowSchemas[table] as z.ZodType<unknown>, json);
  if ('refusal' in result) return result;
  const value = result.value as Record<string, unknown>;
  const parts = key.split('/');
  const isSame = keyFields[table].every(
    (field, index) => field === '' || value[field] === parts[index],
  );
  if (!isSame) return { refusal: 'it says it is another row than its key' };
  const { sourceSiteCode } = value;
  const isOfSource = sourceSiteCode === undefined || key.startsWith(`${sourceSiteCode}`);
  return isOfSource ? result : { refusal: 'its package ID is not of its source site' };
}

/** The status message that stands in a message. */
export function parseStatusMessage(json: string): Parsed<StatusMessage> {
  return parseJson(statusMessage, json);
}

function parseJson<T>(schema: z.ZodType<T>, json: string): Parsed<T> {
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch {
    return { refusal: 'it is not JSON' };
  }
  const result = schema.safeParse(raw);
  if (result.success) return { value: result.data };
  const [issue] = result.error.issues;
  return { refusal: `${issue?.path.join('.') || 'row'}: ${issue?.message}`.slice(0, 300) };
}
