import { z } from 'zod';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** How an agent looks after its certificate, as its configuration says it. */
export const renewalSettings = z
  .strictObject({
    lookMs: z
      .int()
      .min(100)
      .max(10 * minuteMs)
      .default(minuteMs)
      .describe('How often the certificate and its files are looked at.'),
    tryMsMin: z
      .int()
      .min(100)
      .default(minuteMs)
      .describe('Shortest time between two tries to renew the certificate.'),
    tryMsMax: z
      .int()
      .min(1_000)
      .default(hourMs)
      .describe('Longest time between tries to renew the certificate that fail.'),
  })
  .prefault({});
