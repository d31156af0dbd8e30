import { z } from 'zod';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const mebibyte = 1024 * 1024;

/** The part `sending` of a site server's configuration. */
export const sendingSettings = z
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
      .describe('How long an instruction of this site is valid: the longest way a package takes.'),
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
  .prefault({});
