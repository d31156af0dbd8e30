import { z } from 'zod';

const dayMs = 24 * 3_600_000;
/** A minute: for tests; nobody else has so short a life. */
const daysMin = 1 / (24 * 60);

/** The part `authority` of a site server's configuration. */
export const authoritySettings = z
  .strictObject({
    leafDays: z
      .number()
      .min(daysMin)
      .max(825)
      .default(90)
      .describe(
        'How long certificates of agents, administrators and clients are valid; may be a fraction.',
      ),
    siteAuthorityDays: z
      .number()
      .min(daysMin)
      .max(3_650)
      .default(730)
      .describe('How long the authority of a site is valid; the top site says so for all.'),
    rootDays: z
      .number()
      .min(daysMin)
      .max(10_950)
      .default(3_650)
      .describe('How long a root is valid; the top site says so.'),
    rootOverlapHours: z
      .number()
      .min(0)
      .max(8_760)
      .default(168)
      .describe(
        'How long after a new root was made all sites still stand on the one before; a machine that is off for longer than that needs a new token.',
      ),
    rootPassphraseFile: z
      .string()
      .min(1)
      .optional()
      .describe(
        'File with the passphrase of the root key, one line, readable by this user only; needed when the key is encrypted.',
      ),
  })
  .prefault({});

/** Lifetimes, and where the passphrase is. */
export type AuthoritySettings = z.output<typeof authoritySettings>;

/** Certificates begin a little early, for machines whose clocks are behind. */
export const beginsEarlyMs = 5 * 60_000;

export function daysToMs(days: number): number {
  return Math.round(days * dayMs);
}

export function hoursToMs(hours: number): number {
  return Math.round(hours * 3_600_000);
}
