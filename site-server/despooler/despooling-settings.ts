import { z } from 'zod';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const mebibyte = 1024 * 1024;

/** The part `despooling` of a site server's configuration. */
export const despoolingSettings = z
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
  .prefault({});
