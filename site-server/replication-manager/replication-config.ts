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

/** Highest number of a change or a message on the wire: all that is below can be counted and stored. */
export const numberMax = 2 ** 52;

/** Highest number a neighbour may make this site go on from: as many are left for what follows. */
export const claimedNumberMax = 2 ** 51;

/** How long after its store was lost the top of the hierarchy takes all its own rows back from below. */
export const refillMs = 7 * dayMs;

/** Numbers left out at least at each start: more than a store gives out between a copy and its loss. */
export const startGapCount = 2 ** 20;

/** Runs of unassigned numbers that are remembered; one begins with each start of the program. */
export const unassignedRunsMax = 32;

/** How long changes of an origin that were not taken are not sent again on the same stream. */
export const heldMs = minuteMs;

/** Origins a site knows at most, and names in its Hello. */
export const originCountMax = 2_000;
