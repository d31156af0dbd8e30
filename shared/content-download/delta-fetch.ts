import { type ContentDescriptor, hasPieces, pieceCountOf } from '../domain/content.ts';
import { unitCountOf } from '../domain/content-units.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import type { PieceSet } from '../domain/piece-set.ts';
import { PieceSet as EmptySet } from '../domain/piece-set.ts';
import type { WantedUnitFile } from '../package-receiver/content-inspection.ts';
import type { PackageAction } from '../package-receiver/package-actions.ts';
import type { ResponseOf } from '../rpc/conversation.ts';
import { throwIfAborted } from '../runtime/abort-error.ts';
import { toContentName } from './content-messages.ts';
import type { DownloadSources } from './download-sources.ts';
import type { SourceConnection } from './source-connection.ts';
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
  applyDeltas(action: PackageAction): Promise<{ readonly madeFiles: readonly string[] }>;
}

export interface DeltaFetchNeeds {
  readonly sources: DownloadSources;
  readonly receiver: DeltaReceiver;
  readonly newFetch: () => UnitFetch;
  /** So many bytes of deltas are to be fetched. */
  readonly onWanted: (bytes: number) => void;
}

/** How long a source may take to list its deltas: a download does not wait for advice. */
const listMsMax = 5_000;
/** Deltas of one content that are looked at. */
const deltaCountMax = 65_536;
/** Longest file that anybody may speak of, as of a content. */
const fileBytesMax = 8 * 2 ** 40;

/**
 * Makes files of a content from older ones that are here, with deltas that its sources know of. What
 * does not work out is left to be fetched whole.
 *
 * @returns the deltas that were of use
 * @throws AbortError; DISK_FULL, and what ends the download
 */
export async function fetchDeltas(
  action: PackageAction,
  content: ContentDescriptor,
  needs: DeltaFetchNeeds,
  signal: AbortSignal,
): Promise<readonly Delta[]> {
  const listed = await firstList(content, needs.sources, signal);
  if (listed.length === 0) return [];
  const offered = await needs.receiver.offerDeltas(action, listed);
  if (offered.length === 0) return [];
  await bring(offered, needs, signal);
  const made = new Set((await needs.receiver.applyDeltas(action)).madeFiles);
  return offered.map(({ delta }) => delta).filter(({ fileHash }) => made.has(fileHash));
}

/** The first list that names anything; empty when nobody has one. */
async function firstList(
  content: ContentDescriptor,
  sources: DownloadSources,
  signal: AbortSignal,
): Promise<readonly Delta[]> {
  const usable = sources.connections.filter(({ isUsable }) => isUsable);
  const lists = usable.map(async (one) => {
    const list = await listOf(one, content, signal);
    if (list.length === 0) throw new Error('It knows of no delta');
    return list;
  });
  const list = await Promise.any(lists).catch(() => []);
  throwIfAborted(signal);
  return list;
}

async function listOf(
  connection: SourceConnection,
  content: ContentDescriptor,
  signal: AbortSignal,
): Promise<readonly Delta[]> {
  const deltas: Delta[] = [];
  const request = { content: toContentName(content) };
  const { channel } = connection;
  const options = { signal, deadlineMs: listMsMax };
  for await (const part of channel.serverStream('listDeltas', request, options)) {
    for (const message of part.deltas) deltas.push(fromMessage(message));
    if (deltas.length > Math.min(deltaCountMax, content.fileCount)) throw invalid('deltas');
  }
  return deltas;
}

async function bring(
  offered: readonly { readonly delta: Delta; readonly piecesHeld: PieceSet }[],
  { sources, newFetch, onWanted }: DeltaFetchNeeds,
  signal: AbortSignal,
): Promise<void> {
  const { files, unitCount, missingBytes } = toFiles(offered);
  onWanted(missingBytes);
  using _ = sources.assumeAll(unitCount);
  try {
    const stretches = new UnitStretches().cut([{ files }]);
    await newFetch().run(stretches, { signal, givesUp: true });
  } catch (error) {
    // A list that contradicts itself, or the bytes that came for it: advice that is not taken.
    const isBadAdvice = error instanceof FileContradiction;
    if (!isBadAdvice && !isErrorWithCode(error, 'FILE_NOT_WANTED')) throw error;
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

type DeltaMessage = ResponseOf<'Content', 'listDeltas'>['deltas'][number];

function fromMessage(message: DeltaMessage): Delta {
  const deltaBytes = toBytes(message.deltaBytes, 'delta_bytes');
  const hashesBytes = hasPieces(deltaBytes) ? 32 * pieceCountOf(deltaBytes) : 0;
  if (message.deltaPieceHashes.length !== hashesBytes) throw invalid('delta_piece_hashes');
  return {
    fileHash: toHash(message.fileHash, 'file_hash'),
    fileBytes: toBytes(message.fileBytes, 'file_bytes'),
    baseHash: toHash(message.baseHash, 'base_hash'),
    baseBytes: toBytes(message.baseBytes, 'base_bytes'),
    deltaHash: toHash(message.deltaHash, 'delta_hash'),
    deltaBytes,
    deltaPieceHashes: message.deltaPieceHashes.toString('hex'),
  };
}

function toHash(bytes: Buffer, field: string): string {
  if (bytes.length !== 32) throw invalid(field);
  return bytes.toString('hex');
}

function toBytes(text: string, field: string): number {
  const bytes = Number(text);
  if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > fileBytesMax) throw invalid(field);
  return bytes;
}

function invalid(field: string): WaybillError {
  const expected = 'a delta of this content';
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual: 'none' });
}
