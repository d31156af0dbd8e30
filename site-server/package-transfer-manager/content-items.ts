import type { IndexedEntry } from '../../shared/content-library/manifest-reader.ts';
import type { ContentItem, SendableFile } from '../../shared/content-source/content-item.ts';
import { smallFileLength } from '../../shared/content-source/content-message.ts';
import {
  type FileEntry,
  hasPieces,
  pieceBytes,
  pieceCountOf,
  pieceLengthOf,
} from '../../shared/domain/content.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import type { WantedEntries } from './wanted-entries.ts';

/** Small files in one message at most, so that tiny ones do not pile up unacknowledged. */
const batchFilesMax = 512;

/**
 * The messages that bring the wanted files of one content, in manifest order, small files in
 * batches of up to one piece.
 *
 * @param isMine asked once for every wanted file, with the bytes of it the DP misses: whether this
 *   transfer sends it
 */
export async function* contentItems(
  entries: AsyncIterable<readonly IndexedEntry[]>,
  wanted: WantedEntries,
  isMine: (file: FileEntry, missingBytes: number) => boolean,
): AsyncGenerator<ContentItem, void> {
  const isWanted = wanted.cursor();
  let batch = new Batch();
  for await (const part of entries) {
    for (const { entry, index } of part) {
      if (!isWanted(index) || entry.type !== 'file') continue;
      const { sizeBytes } = entry;
      if (hasPieces(sizeBytes)) {
        const held = new PieceSet(pieceCountOf(sizeBytes), wanted.piecesHeldOf(index));
        if (isMine(entry, held.missingBytesOf(sizeBytes))) yield* pieceItems(entry, held);
        continue;
      }
      if (!isMine(entry, sizeBytes)) continue;
      if (!batch.hasRoomFor(entry)) {
        yield batch.toItem();
        batch = new Batch();
      }
      batch.add(entry);
    }
  }
  if (!batch.isEmpty) yield batch.toItem();
}

/** A file outside any manifest, and the pieces of it that need not be sent. */
export interface SendableWhole {
  readonly file: SendableFile;
  /** Of at least one piece; a complete one is not sent. */
  readonly held: PieceSet;
}

/** The messages that bring these files. */
export async function* itemsOfFiles(
  files: readonly SendableWhole[],
): AsyncGenerator<ContentItem, void> {
  let batch = new Batch();
  for (const { file, held } of files) {
    if (held.isComplete) continue;
    if (hasPieces(file.sizeBytes)) {
      yield* pieceItems(file, held);
      continue;
    }
    if (!batch.hasRoomFor(file)) {
      yield batch.toItem();
      batch = new Batch();
    }
    batch.add(file);
  }
  if (!batch.isEmpty) yield batch.toItem();
}

function* pieceItems({ hash, sizeBytes }: SendableFile, held: PieceSet): Generator<ContentItem> {
  const file = { hash, sizeBytes };
  for (let pieceIndex = 0; pieceIndex < held.pieceCount; pieceIndex++) {
    if (held.has(pieceIndex)) continue;
    yield { kind: 'piece', file, pieceIndex, sizeBytes: pieceLengthOf(sizeBytes, pieceIndex) };
  }
}

/** Small files that travel together. */
class Batch {
  readonly #files: SendableFile[] = [];
  #length = 0;
  #sizeBytes = 0;

  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  hasRoomFor({ sizeBytes }: SendableFile): boolean {
    if (this.isEmpty) return true;
    const length = this.#length + smallFileLength(sizeBytes);
    return this.#files.length < batchFilesMax && length <= pieceBytes;
  }

  add({ hash, sizeBytes }: SendableFile): void {
    this.#files.push({ hash, sizeBytes });
    this.#length += smallFileLength(sizeBytes);
    this.#sizeBytes += sizeBytes;
  }

  toItem(): ContentItem {
    return { kind: 'files', files: this.#files, sizeBytes: this.#sizeBytes };
  }
}
