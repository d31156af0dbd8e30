import { z } from 'zod';
import { messageBytesMax } from '../../shared/rpc/rpc-limits.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** The part `replication` of a site server's configuration. */
export const replicationSettings = z
  .strictObject({
    tombstoneMs: z
      .int()
      .min(hourMs)
      .default(90 * dayMs)
      .describe('How long a deleted row is remembered; a site away for longer gets a full copy.'),
    clockAheadMsMax: z
      .int()
      .min(1_000)
      .default(10 * minuteMs)
      .describe('Changes further in the future than this are refused until they are not.'),
    aliveMs: z
      .int()
      .min(100)
      .default(5_000)
      .describe('How often a neighbour hears from this site when there is nothing to say.'),
    stallMs: z
      .int()
      .min(200)
      .default(15_000)
      .describe(
        'How long a neighbour may be silent; noticed after once to twice that, then connected anew.',
      ),
    retryDelayMs: z
      .int()
      .min(10)
      .default(500)
      .describe('First wait before the parent is dialled again; doubles.'),
    retryDelayMsMax: z.int().min(100).default(minuteMs).describe('Longest such wait.'),
    sweepIntervalMs: z
      .int()
      .min(1_000)
      .default(hourMs)
      .describe('How often the change log is swept of what is out of date.'),
    siteStatusMessageCountMax: z
      .int()
      .min(100)
      .default(20_000)
      .describe('Status messages kept of each site below; the oldest go first.'),
  })
  .prefault({});

/** How replication is tuned. */
export type ReplicationConfig = z.output<typeof replicationSettings>;

export const defaultReplicationConfig: ReplicationConfig = replicationSettings.parse({});

/** Layout of the rows on the wire; a neighbour with another one is refused. */
export const replicationLayout = 1;

/** Rows of one message together, in bytes, unless it is one row alone. */
export const changesBytesMax = 1024 * 1024;

/** One row as JSON, in bytes: with its key and time it fits into a message. */
export const rowBytesMax = messageBytesMax - 16 * 1024;

/** Longest key of a row, in characters. */
export const rowKeyCharsMax = 256;

/** Messages to one neighbour that it has not acknowledged, over all origins. */
export const unacknowledgedMax = 4;

/** Origins a neighbour may name in its Hello. */
export const originCountMax = 2_000;

/**
 * How far numbers of changes may stand above the time of day in milliseconds, from which the numbers
 * of a site begin: what it can have written since. Higher ones would leave none for those to come.
 */
export const numbersAheadMax = 24 * hourMs;
