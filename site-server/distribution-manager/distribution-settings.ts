import { z } from 'zod';

const minuteMs = 60_000;
const mebibyte = 1024 * 1024;

/** The part `distribution` of a site server's configuration. */
export const distributionSettings = z
  .strictObject({
    packagesMax: z.int().min(1).max(50).default(3).describe('Packages processed and sent at once.'),
    distributionPointsPerPackageMax: z
      .int()
      .min(1)
      .max(999)
      .default(5)
      .describe('Distribution points one package is sent to at once.'),
    retryCountMax: z.int().min(1).max(1000).default(100).describe('Tries before a job has failed.'),
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
    callDeadlineMs: z.int().min(1_000).default(15_000).describe('Deadline of short calls to a DP.'),
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
  .prefault({});

/** The part `pull` of a site server's configuration. */
export const pullSettings = z
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
      .describe('How long nothing is heard of a job before its pull DP is asked, and asked again.'),
    pollCountMax: z
      .int()
      .min(1)
      .max(1000)
      .default(72)
      .describe('Questions to a pull DP before a job has failed.'),
  })
  .prefault({});
