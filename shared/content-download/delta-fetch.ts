import { hasPieces } from '../domain/content.ts';
import { unitCountOf } from '../domain/content-units.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import type { PieceSet } from '../domain/piece-set.ts';
import { PieceSet as EmptySet } from '../domain/piece-set.ts';
import type { WantedUnitFile } from '../package-receiver/content-inspection.ts';
import type { PackageAction } from '../package-receiver/package-actions.ts';
import { isAbortError, throwIfAborted, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { DownloadSources } from './download-sources.ts';
import type { Intake } from './intake.ts';
import { FileContradiction, type UnitFetch } from './unit-fetch.ts';
import { UnitStretches } from './unit-stretches.ts';

/** What a receiver does with deltas, if it knows of them. */
export interface DeltaReceiver {
  /** Those that are of use here; each is wanted from now on. */
  offerDeltas(
    action: PackageAction,
    deltas: readonly Delta[],
  ): Promise<readonly { readonly delta: Delta; readonly piecesHeld: PieceSet }[]>;
  /** Makes the files that can be made. @returns their hashes */
  applyDeltas(
    action: PackageAction,
    signal?: AbortSignal,
  ): Promise<{ readonly madeFiles: readonly string[] }>;
}

export interface DeltaFetchNeeds {
  readonly sources: DownloadSources;
  readonly intake: Intake;
  readonly receiver: DeltaReceiver;
  readonly newFetch: () => UnitFetch;
  readonly clock: Pick<Clock, 'sleep'>;
  /** So many bytes of deltas are to be fetched. */
  readonly onWanted: (bytes: number) => void;
}

/** How long deltas may take to come, besides the time for their bytes at the least of rates. */
const bringMsMin = 60_000;
const bringBytesPerSecondMin = 16 * 1024;

/**
 * Makes files of a content from older ones that are here, with deltas that a source has listed. What
 * does not work out is left to be fetched whole.
 *
 * @returns the deltas that were of use
 * @throws AbortError; DISK_FULL, and what ends the download
 */
export async function fetchDeltas(
  action: PackageAction,
  listed: readonly Delta[],
  needs: DeltaFetchNeeds,
  signal: AbortSignal,
): Promise<readonly Delta[]> {
  if (listed.length === 0) return [];
  const offered = await needs.receiver.offerDeltas(action, listed);
  if (offered.length === 0) return [];
  await bring(offered, needs, signal);
  const made = new Set((await needs.receiver.applyDeltas(action, signal)).madeFiles);
  return offered.map(({ delta }) => delta).filter(({ fileHash }) => made.has(fileHash));
}

/** Brings what can be had in time: who lists a delta may be slow, or never bring it. */
async function bring(
  offered: readonly { readonly delta: Delta; readonly piecesHeld: PieceSet }[],
  { sources, intake, newFetch, onWanted, clock }: DeltaFetchNeeds,
  signal: AbortSignal,
): Promise<void> {
  const { files, unitCount, missingBytes } = toFiles(offered);
  onWanted(missingBytes);
  using _ = sources.assumeAll(unitCount);
  const over = new AbortController();
  const ms = bringMsMin + (missingBytes * 1_000) / bringBytesPerSecondMin;
  const timer = passed(ms, { clock, intake, signal: over.signal }).then(
    () => over.abort(workIsOver),
    () => {},
  );
  try {
    const stretches = new UnitStretches().cut([{ files }]);
    const either = AbortSignal.any([signal, over.signal]);
    await newFetch().run(stretches, { signal: either, givesUp: true });
  } catch (error) {
    throwIfAborted(signal);
    // Not in time, or a list that contradicts itself, or the bytes that came for it: advice that is
    // not taken.
    const isBadAdvice = error instanceof FileContradiction || isAbortError(error);
    if (!isBadAdvice && !isErrorWithCode(error, 'FILE_NOT_WANTED')) throw error;
  } finally {
    over.abort(workIsOver);
    await timer;
  }
}

/** Resolves after so long, besides the time in which this side kept itself waiting. @throws AbortError */
async function passed(
  ms: number,
  { clock, intake, signal }: Pick<DeltaFetchNeeds, 'clock' | 'intake'> & { signal: AbortSignal },
): Promise<void> {
  for (let leftMs = ms; leftMs > 0; ) {
    const beforeMs = intake.waitedMs;
    await clock.sleep(leftMs, signal);
    leftMs = intake.waitedMs - beforeMs;
  }
}

/** The deltas as files with units of their own. */
function toFiles(offered: readonly { readonly delta: Delta; readonly piecesHeld: PieceSet }[]) {
  const files: WantedUnitFile[] = [];
  let [unitCount, missingBytes] = [0, 0];
  for (const { delta, piecesHeld } of offered) {
    const { deltaHash: hash, deltaBytes: sizeBytes } = delta;
    const pieces = hasPieces(sizeBytes) ? piecesHeld : new EmptySet(0);
    files.push({ hash, sizeBytes, firstUnit: unitCount, pieces });
    unitCount += unitCountOf(sizeBytes);
    missingBytes += pieces.missingBytesOf(sizeBytes);
  }
  return { files, unitCount, missingBytes };
}
