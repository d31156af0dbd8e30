import type { Delta } from '../domain/delta.ts';
import type { Delta as DeltaMessage } from '../rpc/generated/waybill/v1/Delta.ts';
import type { DeltaList } from '../rpc/generated/waybill/v1/DeltaList.ts';

/** Bytes of deltas in one message; a single one may be longer. */
const listBytesMax = 512 * 1024;
/** Longest list of piece hashes that fits a message, in hexadecimal: those of a delta of 32 GiB. */
const pieceHashesCharsMax = 2 * 1024 * 1024;
/** Bytes of a delta's message without its piece hashes, at most. */
const frameBytes = 160;

/** Deltas of a content as they travel, in messages; one that fits none is left out: it is advice. */
export function* deltaLists(deltas: Iterable<Delta>): Generator<DeltaList> {
  let list: DeltaMessage[] = [];
  let listBytes = 0;
  for (const delta of distinct(deltas)) {
    const bytes = frameBytes + delta.deltaPieceHashes.length / 2;
    if (list.length > 0 && listBytes + bytes > listBytesMax) {
      yield { deltas: list };
      [list, listBytes] = [[], 0];
    }
    list.push(toDeltaMessage(delta));
    listBytes += bytes;
  }
  if (list.length > 0) yield { deltas: list };
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

function toDeltaMessage(delta: Delta): DeltaMessage {
  return {
    fileHash: Buffer.from(delta.fileHash, 'hex'),
    fileBytes: delta.fileBytes,
    baseHash: Buffer.from(delta.baseHash, 'hex'),
    baseBytes: delta.baseBytes,
    deltaHash: Buffer.from(delta.deltaHash, 'hex'),
    deltaBytes: delta.deltaBytes,
    deltaPieceHashes: Buffer.from(delta.deltaPieceHashes, 'hex'),
  };
}
