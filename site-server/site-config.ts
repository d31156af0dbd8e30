import { z } from 'zod';
import { renewalSettings } from '../shared/certificate-keeper/renewal-settings.ts';
import { addressForm, parseAddress } from '../shared/domain/distribution-point.ts';
import { parseSiteCode } from '../shared/domain/site.ts';
import { metricsSettings } from '../shared/metrics/metrics-settings.ts';
import { logLevels } from '../shared/runtime/logger.ts';
import { alarmsSettings } from './alarm-watch/alarm-settings.ts';
import { authoritySettings } from './certificate-authority/authority-config.ts';
import { despoolingSettings } from './despooler/despooling-settings.ts';
import {
  distributionSettings,
  pullSettings,
} from './distribution-manager/distribution-settings.ts';
import { enrollmentSettings } from './enrollment/enrollment-config.ts';
import { replicationSettings } from './replication-manager/replication-config.ts';
import { sendingSettings } from './sender/sending-settings.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** The whole configuration of a site server; docs/configuration.md describes every key. */
const fields = z.strictObject({
  siteCode: z
    .string()
    .refine((text) => parseSiteCode(text) !== undefined, 'three of A-Z and 0-9')
    .describe('Code of this site; must be the one in its certificate.'),
  kind: z
    .enum(['central-administration', 'primary', 'secondary'])
    .default('primary')
    .describe(
      'What this site is: `central-administration` (the top, without distribution points), `primary` or `secondary`.',
    ),
  parent: z
    .strictObject({
      siteCode: z
        .string()
        .refine((text) => parseSiteCode(text) !== undefined, 'three of A-Z and 0-9')
        .describe(
          'Code of the site above this one. `parent` as a whole may be left out: then this site is the top.',
        ),
      address: z
        .string()
        .refine((text) => parseAddress(text) !== undefined, addressForm)
        .describe('host:port of its server.'),
    })
    .optional()
    .describe('The site above this one.'),
  listen: z.string().default('0.0.0.0:8530').describe('Address and port the site listens on.'),
  address: z
    .string()
    .refine((text) => parseAddress(text) !== undefined, addressForm)
    .optional()
    .describe(
      'host:port by which others reach this site, told to pull DPs and clients; default: `listen`, with the name of this machine when that is no address of its own.',
    ),
  dataDirectory: z
    .string()
    .min(1)
    .describe(
      'State store, logs and, unless set apart, the content library. One server at a time.',
    ),
  contentLibraryDirectory: z
    .string()
    .min(1)
    .optional()
    .describe('The content library; default: content-library in the data directory.'),
  certificates: z.strictObject({
    caFile: z.string().min(1).describe("The hierarchy's CA certificates, PEM."),
    certificateFile: z.string().min(1).describe("This server's certificate, PEM."),
    keyFile: z.string().min(1).describe('Its private key, PEM; readable by this user only.'),
    renewalAddress: z
      .string()
      .refine((text) => parseAddress(text) !== undefined, addressForm)
      .optional()
      .describe(
        'host:port of the enrollment port of a site, where the certificate is renewed; written by `enroll`. Where nobody is there, the site is asked where it last said itself.',
      ),
  }),
  renewal: renewalSettings,
  authority: authoritySettings,
  distribution: distributionSettings,
  pull: pullSettings,
  sending: sendingSettings,
  despooling: despoolingSettings,
  serving: z
    .strictObject({
      kilobytesPerSecond: z
        .int()
        .min(1)
        .max(1_000_000_000)
        .default(1_000_000_000)
        .describe(
          'How fast content is served to who fetches it here: pull DPs that fall back to the site, clients. The most is no limit.',
        ),
    })
    .prefault({}),
  alarms: alarmsSettings,
  prestaged: z
    .strictObject({
      keptMs: z
        .int()
        .min(0)
        .default(30 * 24 * hourMs)
        .describe(
          'How long imported content stays that no distribution point of this site is to have, or that waits for the metadata of its package.',
        ),
      exportsMax: z.int().min(1).max(50).default(2).describe('Packages exported at once.'),
    })
    .prefault({}),
  enrollment: enrollmentSettings,
  replication: replicationSettings,
  unreferencedGraceMs: z
    .int()
    .min(0)
    .default(hourMs)
    .describe('How long a file that no package uses stays in the library.'),
  unfinishedGraceMs: z
    .int()
    .min(0)
    .default(7 * 24 * hourMs)
    .describe('How long what a snapshot left behind unfinished stays.'),
  sweepIntervalMs: z
    .int()
    .min(1_000)
    .default(hourMs)
    .describe('How often the library is swept of what nothing uses.'),
  validationBytesPerSecond: z
    .int()
    .min(1024)
    .default(20_000_000)
    .describe('How fast a validation reads the library of this site, unless it is told.'),
  statusMessageCountMax: z
    .int()
    .min(1_000)
    .default(100_000)
    .describe('Status messages kept; the oldest go first.'),
  jobHistoryCountMax: z
    .int()
    .min(1_000)
    .default(100_000)
    .describe('Ended jobs kept; the oldest go first.'),
  auditRecordCountMax: z
    .int()
    .min(1_000)
    .default(1_000_000)
    .describe(
      'Audit records kept; of more than that, those older than `auditKeptDays` go, the oldest first.',
    ),
  auditKeptDays: z
    .number()
    .min(1)
    .max(3_650)
    .default(400)
    .describe('How long an audit record stays at least, however many there are.'),
  metrics: metricsSettings,
  logLevel: z.enum(logLevels).default('info').describe('Least urgent level that is logged.'),
});

/** What one key alone cannot say. */
export const siteConfigSchema = fields.superRefine(({ siteCode, kind, parent }, context) => {
  const refuse = (key: string, message: string) =>
    context.addIssue({ code: 'custom', path: [key], message });
  if (parent && kind === 'central-administration') {
    refuse('parent', 'no parent: a central administration site is the top');
  }
  if (!parent && kind === 'secondary') refuse('parent', 'the primary site above a secondary one');
  if (parent?.siteCode === siteCode) refuse('parent', 'another site than this one');
});

export type SiteConfig = z.output<typeof siteConfigSchema>;
