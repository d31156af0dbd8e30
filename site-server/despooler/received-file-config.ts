/** How the store of received files is tuned. */
export interface ReceivedFileConfig {
  /** Where files lie while they arrive, such as `<data>/despool`; on one file system with the store. */
  readonly directory: string;
  /** Largest package file that is taken, in bytes. @default 8 TiB */
  readonly fileBytesMax: number;
  /** Files that arrive at once; one site brings half of them at most. @default 16 */
  readonly arrivalsMax: number;
  /** Unfinished files kept; one of the site that has the most makes way. @default 1_000 */
  readonly partsMax: number;
  /** How long an unfinished file that nobody goes on with stays. @default 7 days */
  readonly partKeptMs: number;
  /** After so long such a file makes way when the disk is full. @default 1 hour */
  readonly partRestMs: number;
  /** An offer is answered so soon, though what is there is still being hashed. @default 20_000 */
  readonly answerMs: number;
  /** How often such files are looked for. @default 1 hour */
  readonly sweepIntervalMs: number;
  /** Room that stays free in the file system, in bytes. @default 1 GiB */
  readonly reserveBytes: number;
}

const hourMs = 60 * 60_000;

/** As documented at each. */
export const defaultReceivedFileConfig: Omit<ReceivedFileConfig, 'directory'> = {
  fileBytesMax: 8 * 1024 ** 4,
  arrivalsMax: 16,
  partsMax: 1_000,
  partKeptMs: 7 * 24 * hourMs,
  partRestMs: hourMs,
  answerMs: 20_000,
  sweepIntervalMs: hourMs,
  reserveBytes: 1024 ** 3,
};
