import { z } from 'zod';
import { bundleRootCountMax } from '../../shared/certificates/trust-bundle.ts';
import type { AuditHead } from '../../shared/domain/audit-record.ts';
import {
  type DistributionPoint,
  distributionPointPriorityMax,
  distributionPointPriorityMin,
} from '../../shared/domain/distribution-point.ts';
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
import type {
  SigningKey,
  SiteDefinition,
  SiteIdentity,
  SiteRoute,
} from '../../shared/domain/site.ts';
import type { StatusMessage } from '../../shared/domain/status-message.ts';
import type {
  RootSignature,
  SiteAuthorityRow,
  TrustBundleRow,
} from '../../shared/domain/trust-bundle.ts';
import type { ValidationSchedule } from '../../shared/domain/validation-schedule.ts';
import { controlSchemas, noControlsOr, validationSchedule } from './control-schemas.ts';
import { packageSchemas } from './package-schemas.ts';
import {
  address,
  count,
  dpId,
  noDpOr,
  noSiteOr,
  packageId,
  parsed,
  row,
  sentence,
  shortText,
  siteCode,
  text,
} from './row-fields.ts';

const certificateCharsMax = 32_768;
/** An administrator with a long scope, written out. */
const identityUriCharsMax = 4_096;
const signingKeyCountMax = 64;
const addressCountMax = 32;
const insertionStringCountMax = 9;

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

const rootSignature = row<RootSignature>({
  rootKeyId: z.string().regex(/^[0-9a-f]{64}$/),
  signature: text(4_096),
});

/** What a row of each table must look like, whoever sends it; every text of it is bounded. */
const rowSchemas = {
  ...packageSchemas,
  ...controlSchemas,
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
