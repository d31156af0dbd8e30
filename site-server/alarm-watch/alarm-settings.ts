import { z } from 'zod';

const minuteMs = 60_000;

/** The part `alarms` of a site server's configuration. */
export const alarmsSettings = z
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
      .describe('How long a neighbour site may not be connected before a status message says so.'),
  })
  .prefault({});
