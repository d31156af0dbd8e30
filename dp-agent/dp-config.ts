import { join } from 'node:path';
import { z } from 'zod';
import { renewalSettings } from '../shared/certificate-keeper/renewal-settings.ts';
import {
  addressForm,
  isListenAddress,
  parseAddress,
  parseDistributionPointId,
} from '../shared/domain/distribution-point.ts';
import { parseSiteCode } from '../shared/domain/site.ts';
import { metricsSettings } from '../shared/metrics/metrics-settings.ts';
import { logLevels } from '../shared/runtime/logger.ts';

const hourMs = 3_600_000;

/** The whole configuration of a DP agent; docs/configuration.md describes every key. */
export const dpConfigSchema = z.strictObject({
  dpId: z
    .string()
    .refine((text) => parseDistributionPointId(text) !== undefined, 'the name of this DP')
    .describe('Name of this distribution point; must be the one in its certificate.'),
  siteCode: z
    .string()
    .refine((text) => parseSiteCode(text) !== undefined, 'three of A-Z and 0-9')
    .describe('The site this DP belongs to; no other site may steer it.'),
  listen: z
    .string()
    .refine(isListenAddress, `${addressForm}; port 0 for any`)
    .default('0.0.0.0:8531')
    .describe('Address and port the agent listens on.'),
  managementPointAddress: z
    .string()
    .refine((text) => parseAddress(text) !== undefined, addressForm)
    .optional()
    .describe("The site's management point, host:port; default: where the site says it is."),
  dataDirectory: z
    .string()
    .min(1)
    .describe('State store, logs and, unless set apart, the content library. One agent at a time.'),
  contentLibraryDirectory: z
    .string()
    .min(1)
    .optional()
    .describe('The content library; default: content-library in the data directory.'),
  certificates: z.strictObject({
    caFile: z.string().min(1).describe("The hierarchy's CA certificates, PEM."),
    certificateFile: z.string().min(1).describe("This agent's certificate, PEM."),
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
  reserveBytes: z
    .int()
    .min(0)
    .default(50 * 1024 * 1024)
    .describe('Bytes of the file system that content never uses.'),
  stagedFilesMax: z
    .int()
    .min(1)
    .max(100_000)
    .default(8192)
    .describe(
      'Received files that may wait to be moved into the library together; from a quarter of them on they are moved.',
    ),
  stagedBytesMax: z
    .int()
    .min(1024 * 1024)
    .default(256 * 1024 * 1024)
    .describe('The same in bytes of such files.'),
  cacheBytesMax: z
    .int()
    .min(0)
    .default(16 * 1024 * 1024)
    .describe('Encoded content kept for several who fetch the same at once.'),
  unfinishedGraceMs: z
    .int()
    .min(0)
    .default(7 * 24 * hourMs)
    .describe('How long files of a transfer that nobody continues stay.'),
  unreferencedGraceMs: z
    .int()
    .min(0)
    .default(hourMs)
    .describe('How long a file that no package uses stays in the library.'),
  prestagedKeptMs: z
    .int()
    .min(0)
    .default(30 * 24 * hourMs)
    .describe(
      'How long files that were imported from a prestaged file stay without a package that uses them.',
    ),
  sweepIntervalMs: z
    .int()
    .min(1_000)
    .default(hourMs)
    .describe('How often the library is swept of what nothing uses.'),
  validationBytesPerSecond: z
    .int()
    .min(1024)
    .default(20_000_000)
    .describe('How fast a validation reads the library, unless it is told.'),
  metrics: metricsSettings,
  logLevel: z.enum(logLevels).default('info').describe('Least urgent level that is logged.'),
});

export type DpConfig = z.output<typeof dpConfigSchema>;

/** Where the content library lies. */
export function libraryDirectoryOf(config: DpConfig): string {
  return config.contentLibraryDirectory ?? join(config.dataDirectory, 'content-library');
}
