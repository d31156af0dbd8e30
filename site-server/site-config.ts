import { z } from 'zod';
import { renewalSettings } from '../shared/certificate-keeper/renewal-settings.ts';
import { parseAddress } from '../shared/domain/distribution-point.ts';
import { parseSiteCode } from '../shared/domain/site.ts';
import { metricsSettings } from '../shared/metrics/metrics-settings.ts';
import { logLevels } from '../shared/runtime/logger.ts';
import { authoritySettings } from './certificate-authority/authority-config.ts';
import { enrollmentSettings } from './enrollment/enrollment-config.ts';
import { replicationSettings } from './replication-manager/replication-config.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const mebibyte = 1024 * 1024;

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
        .refine((text) => parseAddress(text) !== undefined, 'host:port, an IPv6 host in brackets')
        .describe('host:port of its server.'),
    })
    .optional()
    .describe('The site above this one.'),
  listen: z.string().default('0.0.0.0:8530').describe('Address and port the site listens on.'),
  address: z
    .string()
    .refine((text) => parseAddress(text) !== undefined, 'host:port, an IPv6 host in brackets')
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
      .refine((text) => parseAddress(text) !== undefined, 'host:port, an IPv6 host in brackets')
      .optional()
      .describe(
        'host:port of the enrollment port of a site, where the certificate is renewed; written by `enroll`. Where nobody is there, the site is asked where it last said itself.',
      ),
  }),
  renewal: renewalSettings,
  authority: authoritySettings,
  distribution: z
    .strictObject({
      packagesMax: z
        .int()
        .min(1)
        .max(50)
        .default(3)
        .describe('Packages processed and sent at once.'),
      distributionPointsPerPackageMax: z
        .int()
        .min(1)
        .max(999)
        .default(5)
        .describe('Distribution points one package is sent to at once.'),
      retryCountMax: z
        .int()
        .min(1)
        .max(1000)
        .default(100)
        .describe('Tries before a job has failed.'),
      retryDelayMs: z
        .int()
        .min(100)
        .default(5_000)
        .describe('First wait after a failed try; doubles.'),
      retryDelayMsMax: z
        .int()
        .min(1_000)
        .default(30 * minuteMs)
        .describe('Longest wait between tries.'),
      diskFullDelayMs: z
        .int()
        .min(100)
        .default(2_000)
        .describe('First wait before a full disk of a DP is looked at again; doubles.'),
      diskFullDelayMsMax: z.int().min(1_000).default(30_000).describe('Longest such wait.'),
      lanesMax: z.int().min(1).max(64).default(8).describe('Streams of one transfer.'),
      progressWriteMs: z
        .int()
        .min(100)
        .default(1_000)
        .describe('How often the progress of a running job is written down.'),
      callDeadlineMs: z
        .int()
        .min(1_000)
        .default(15_000)
        .describe('Deadline of short calls to a DP.'),
      contentDeadlineMs: z
        .int()
        .min(10_000)
        .default(30 * minuteMs)
        .describe('Deadline of calls to a DP that work through a whole content.'),
      stallMs: z
        .int()
        .min(1_000)
        .default(120_000)
        .describe('How long a DP may owe the acknowledgement of a message of 1 MiB.'),
      checkDeadlineMs: z
        .int()
        .min(500)
        .default(5_000)
        .describe('Deadline of the preliminary check, connecting included.'),
      cacheBytesMax: z
        .int()
        .min(0)
        .default(32 * mebibyte)
        .describe('Encoded content kept for transfers of one package to several DPs.'),
    })
    .prefault({}),
  pull: z
    .strictObject({
      jobsMax: z
        .int()
        .min(1)
        .max(1000)
        .default(50)
        .describe('Jobs one pull DP has at once; further ones wait.'),
      notificationsMax: z
        .int()
        .min(1)
        .max(200)
        .default(20)
        .describe('Notifications of pull DPs at once.'),
      noSourceDelayMs: z
        .int()
        .min(1_000)
        .default(20 * minuteMs)
        .describe(
          'How long a job waits for a source of its pull DP, when none gets the content before.',
        ),
      noSourceRetryCountMax: z
        .int()
        .min(1)
        .max(1000)
        .default(30)
        .describe('Looks for a source in a row before a job has failed.'),
      pollDelayMs: z
        .int()
        .min(1_000)
        .default(60 * minuteMs)
        .describe(
          'How long nothing is heard of a job before its pull DP is asked, and asked again.',
        ),
      pollCountMax: z
        .int()
        .min(1)
        .max(1000)
        .default(72)
        .describe('Questions to a pull DP before a job has failed.'),
    })
    .prefault({}),
  sending: z
    .strictObject({
      sendsMax: z
        .int()
        .min(1)
        .max(50)
        .default(5)
        .describe('Package files sent to other sites at once.'),
      sendsPerSiteMax: z
        .int()
        .min(1)
        .max(50)
        .default(3)
        .describe('Package files sent to one site at once.'),
      retryDelayMs: z
        .int()
        .min(100)
        .default(minuteMs)
        .describe('Wait after the first failed try to send; from the second on it doubles.'),
      retryDelayMsMax: z
        .int()
        .min(1_000)
        .default(30 * minuteMs)
        .describe('Longest wait between tries to send.'),
      stallMs: z
        .int()
        .min(1_000)
        .default(120_000)
        .describe('How long another site may owe its word about a part of a package file.'),
      windowBytesMax: z
        .int()
        .min(mebibyte / 2)
        .max(64 * mebibyte)
        .default(16 * mebibyte)
        .describe('Bytes one send may have on its way; less where the link is thin or was cut.'),
      instructionValidMs: z
        .int()
        .min(hourMs)
        .max(90 * 24 * hourMs)
        .default(30 * 24 * hourMs)
        .describe(
          'How long an instruction of this site is valid: the longest way a package takes.',
        ),
      makingsMax: z.int().min(1).max(16).default(2).describe('Package files made at once.'),
      packageFileGraceMs: z
        .int()
        .min(0)
        .default(hourMs)
        .describe('How long a package file that nobody needs stays.'),
      packageFileReserveBytes: z
        .int()
        .min(0)
        .default(1024 * mebibyte)
        .describe('Bytes of the file system that package files made here never use.'),
      requestHistoryCountMax: z
        .int()
        .min(100)
        .default(10_000)
        .describe('Ended send requests kept; the oldest go first.'),
    })
    .prefault({}),
  despooling: z
    .strictObject({
      packagesMax: z
        .int()
        .min(1)
        .max(50)
        .default(3)
        .describe('Packages of other sites unpacked at once.'),
      filesMax: z
        .int()
        .min(1)
        .max(100)
        .default(16)
        .describe('Package files that arrive from other sites at once.'),
      fileBytesMax: z
        .int()
        .min(mebibyte)
        .default(8 * 1024 * 1024 * mebibyte)
        .describe('Largest package file that is taken, in bytes.'),
      reserveBytes: z
        .int()
        .min(0)
        .default(1024 * mebibyte)
        .describe('Room that arriving package files leave free, in bytes.'),
      unfinishedKeptMs: z
        .int()
        .min(minuteMs)
        .default(7 * 24 * hourMs)
        .describe('How long an unfinished package file stays that nobody goes on with.'),
      metadataDelayMs: z
        .int()
        .min(1_000)
        .default(5 * minuteMs)
        .describe(
          'How long content waits for the metadata of its package before it looks by itself.',
        ),
      retryDelayMs: z
        .int()
        .min(100)
        .default(5_000)
        .describe('First wait for room to unpack a package; doubles.'),
      retryDelayMsMax: z
        .int()
        .min(1_000)
        .default(5 * minuteMs)
        .describe('Longest such wait.'),
      freshMs: z
        .int()
        .min(1_000)
        .default(10 * minuteMs)
        .describe(
          "How far another site's clock may be off, and how long an instruction may be on its way.",
        ),
      retiredKeyMs: z
        .int()
        .min(hourMs)
        .default(30 * 24 * hourMs)
        .describe('How long what this site signed with its last key is believed.'),
    })
    .prefault({}),
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
  alarms: z
    .strictObject({
      noProgressMs: z
        .int()
        .min(1_000)
        .default(30 * minuteMs)
        .describe(
          'How long a job or a send request may make no progress before a status message says so.',
        ),
      distributionPointAwayMs: z
        .int()
        .min(1_000)
        .default(30 * minuteMs)
        .describe(
          'How long a distribution point for which jobs wait may be away before a status message says so.',
        ),
      siteAwayMs: z
        .int()
        .min(1_000)
        .default(30 * minuteMs)
        .describe(
          'How long a neighbour site may not be connected before a status message says so.',
        ),
    })
    .prefault({}),
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
