import type { IndexedEntry } from '../../shared/content-library/manifest-reader.ts';
import {
  type FileEntry,
  hasPieces,
  pieceBytes,
  pieceCountOf,
  pieceLengthOf,
} from '../../shared/domain/content.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import type { ContentItem, SendableFile } from './content-item.ts';
import { smallFileLength } from './content-message.ts';
import type { WantedEntries } from './wanted-entries.ts';

/** Small files in one message at most, so that tiny ones do not pile up unacknowledged. */
const batchFilesMax = 512;

/**
 * The messages that bring the wanted files of one content, in manifest order, small files in
 * batches of up to one piece.
 *
 * @param isMine asked once for every wanted file: whether this transfer sends it
 */
export async function* contentItems(
  entries: AsyncIterable<readonly IndexedEntry[]>,
  wanted: WantedEntries,
  isMine: (file: FileEntry) => boolean,
): AsyncGenerator<ContentItem> {
  const isWanted = wanted.cursor();
  let batch = new Batch();
  for await (const part of entries) {
    for (const { entry, index } of part) {
      if (!isWanted(index) || entry.type !== 'file' || !isMine(entry)) continue;
      if (hasPieces(entry.sizeBytes)) {
        yield* pieceItems(entry, wanted.piecesHeldOf(index));
        continue;
      }
      if (!batch.hasRoomFor(entry)) {
        yield batch.toItem();
        batch = new Batch();
      }
      batch.add(entry);
    }
  }
  if (!batch.isEmpty) yield batch.toItem();
}

function* pieceItems(file: FileEntry, held: Uint8Array | undefined): Generator<ContentItem> {
  const pieces = new PieceSet(pieceCountOf(file.sizeBytes), held);
  for (let pieceIndex = 0; pieceIndex < pieces.pieceCount; pieceIndex++) {
    if (pieces.has(pieceIndex)) continue;
    const sizeBytes = pieceLengthOf(file.sizeBytes, pieceIndex);
    const { hash } = file;
    yield { kind: 'piece', file: { hash, sizeBytes: file.sizeBytes }, pieceIndex, sizeBytes };
  }
}

class Batch {
  readonly #files: SendableFile[] = [];
  #length = 0;
  #sizeBytes = 0;

  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  hasRoomFor({ sizeBytes }: FileEntry): boolean {
    if (this.isEmpty) return true;
    const length = this.#length + smallFileLength(sizeBytes);
    return this.#files.length < batchFilesMax && length <= pieceBytes;
  }

  add({ hash, sizeBytes }: FileEntry): void {
    this.#files.push({ hash, sizeBytes });
    this.#length += smallFileLength(sizeBytes);
    this.#sizeBytes += sizeBytes;
  }

  toItem(): ContentItem {
    return { kind: 'files', files: this.#files, sizeBytes: this.#sizeBytes };
  }
}
