import type { Delta } from '../domain/delta.ts';
import {
  deltaMessageLength,
  framingBytesMax,
  toDeltaMessage,
} from '../package-info/delta-message.ts';
import type { Delta as DeltaMessage } from '../rpc/generated/waybill/v1/Delta.ts';
import type { DeltaList } from '../rpc/generated/waybill/v1/DeltaList.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import type { ArrivingContent, ArrivingContents } from './arriving-contents.ts';

/** Bytes of deltas in one message; a single one may be longer. */
const listBytesMax = 512 * 1024;
/** Longest list of piece hashes that fits a message, in hexadecimal: those of a delta of 32 GiB. */
const pieceHashesCharsMax = 2 * 1024 * 1024;

/** Deltas of a content as they travel, in messages; one that fits none is left out: it is advice. */
export function* deltaLists(deltas: Iterable<Delta>): Generator<DeltaList> {
  let list: DeltaMessage[] = [];
  let listBytes = 0;
  for (const delta of distinct(deltas)) {
    const bytes = deltaMessageLength(delta);
    if (list.length > 0 && listBytes + bytes > listBytesMax) {
      yield { deltas: list };
      [list, listBytes] = [[], 0];
    }
    list.push(toDeltaMessage(delta));
    listBytes += bytes;
  }
  if (list.length > 0) yield { deltas: list };
}

/** About the bytes of a message of deltas. */
export function deltaListLength({ deltas = [] }: DeltaList): number {
  const lengths = deltas.map(
    ({ deltaPieceHashes }) => framingBytesMax + (deltaPieceHashes?.length ?? 0),
  );
  return lengths.reduce((sum, length) => sum + length, 0);
}

/**
 * Says with an empty list that the deltas of a content that arrives are not known yet, and waits until
 * they are, or it arrives no more.
 *
 * @throws AbortError
 */
export async function* untilDeltasAreKnown(
  content: ArrivingContent,
  arriving: ArrivingContents,
  signal: AbortSignal,
): AsyncGenerator<DeltaList> {
  const { contentId } = content.descriptor;
  const isOpen = () => !content.deltas.areKnown && arriving.find(contentId) === content;
  const wake = new WakeSignal();
  const endWatch = arriving.watch(contentId, () => wake.wake());
  try {
    if (isOpen()) yield { deltas: [] };
    while (isOpen()) await wake.wait(signal);
  } finally {
    endWatch();
  }
}

function* distinct(deltas: Iterable<Delta>): Generator<Delta> {
  const told = new Set<string>();
  for (const delta of deltas) {
    const key = `${delta.fileHash} ${delta.baseHash} ${delta.deltaHash}`;
    if (told.has(key) || delta.deltaPieceHashes.length > pieceHashesCharsMax) continue;
    told.add(key);
    yield delta;
  }
}
