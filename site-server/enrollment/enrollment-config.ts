import { z } from 'zod';
import { addressForm, parseAddress } from '../../shared/domain/distribution-point.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Longest time a token may count that an administrator asks for. */
export const enrollmentValidMsMax = 30 * dayMs;

/** Where new machines get their certificates, unless the configuration says otherwise. */
export const enrollmentListenDefault = '0.0.0.0:8532';

/** The part `enrollment` of a site server's configuration. */
export const enrollmentSettings = z
  .strictObject({
    listen: z
      .string()
      .default(enrollmentListenDefault)
      .describe(
        'Address and port where new machines get their certificates, and all renew them; open only at a site that has an authority (`waybill-site init`, `waybill-site enroll`).',
      ),
    address: z
      .string()
      .refine((text) => parseAddress(text) !== undefined, addressForm)
      .optional()
      .describe(
        'host:port by which others reach it; default: the host of `address`, with the port of `enrollment.listen`.',
      ),
    validForMs: z
      .int()
      .min(minuteMs)
      .max(enrollmentValidMsMax)
      .default(60 * minuteMs)
      .describe('How long a token counts, unless whoever makes it says otherwise.'),
    renewalGraceMs: z
      .int()
      .min(0)
      .max(365 * dayMs)
      .default(30 * dayMs)
      .describe('How long after it expired a certificate may still be followed by a new one.'),
  })
  .prefault({});

/** How enrollment is tuned. */
export type EnrollmentConfig = z.output<typeof enrollmentSettings>;
