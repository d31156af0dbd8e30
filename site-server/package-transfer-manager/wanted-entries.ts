import { type ContentDescriptor, pieceBytes } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';

/** Numbers kept in blocks, so that a million of them cost what they weigh. */
const blockLength = 65_536;

/**
 * The entries of one content a DP wants, in manifest order: 8 bytes each, and the few partial
 * files. What the DP says is checked against the content, so that it takes no more memory than
 * that.
 */
export class WantedEntries {
  readonly #content: Pick<ContentDescriptor, 'entryCount' | 'sizeBytes'>;
  readonly #blocks: Float64Array[] = [];
  readonly #partial = new Map<number, Uint8Array>();
  #count = 0;
  #lastIndex = -1;
  #heldBytes = 0;
  #missingBytes = 0;

  constructor(content: Pick<ContentDescriptor, 'entryCount' | 'sizeBytes'>) {
    this.#content = content;
  }

  /**
   * @param piecesHeld bits of the pieces that are at the DP already; see PieceSet
   * @throws MESSAGE_INVALID when the index does not rise, or is over the content
   */
  add(entryIndex: number, piecesHeld: Uint8Array): void {
    const { entryCount, sizeBytes } = this.#content;
    const isRising = Number.isSafeInteger(entryIndex) && entryIndex > this.#lastIndex;
    if (!isRising || entryIndex >= entryCount) {
      const expected = `${this.#lastIndex + 1} to ${entryCount - 1}`;
      throw invalid('files.entry_index', expected, entryIndex);
    }
    this.#heldBytes += piecesHeld.length;
    // One bit a piece, and for each file up to seven more.
    const heldBytesMax = entryCount + sizeBytes / pieceBytes / 8;
    if (this.#heldBytes > heldBytesMax) {
      const expected = `${Math.floor(heldBytesMax)} bytes in all at most`;
      throw invalid('files.pieces_held', expected, this.#heldBytes);
    }
    this.#append(entryIndex);
    if (piecesHeld.length > 0) this.#partial.set(entryIndex, piecesHeld);
  }

  /** Content bytes the DP lacks. */
  get missingBytes(): number {
    return this.#missingBytes;
  }

  /** @throws MESSAGE_INVALID when more would be missing than the content has */
  addMissing(bytes: number): void {
    this.#missingBytes += bytes;
    if (bytes >= 0 && this.#missingBytes <= this.#content.sizeBytes) return;
    throw invalid('missing_bytes', `0 to ${this.#content.sizeBytes} in all`, this.#missingBytes);
  }

  get count(): number {
    return this.#count;
  }

  piecesHeldOf(entryIndex: number): Uint8Array | undefined {
    return this.#partial.get(entryIndex);
  }

  /** Answers in order: `isNext(i)` must be asked with rising indices. */
  cursor(): (entryIndex: number) => boolean {
    let position = 0;
    const at = (index: number) =>
      this.#blocks[Math.floor(index / blockLength)]?.[index % blockLength];
    return (entryIndex) => {
      if (position >= this.#count || at(position) !== entryIndex) return false;
      position += 1;
      return true;
    };
  }

  #append(entryIndex: number): void {
    const within = this.#count % blockLength;
    const last = within === 0 ? undefined : this.#blocks.at(-1);
    const block = last ?? new Float64Array(blockLength);
    if (!last) this.#blocks.push(block);
    block[within] = entryIndex;
    this.#count += 1;
    this.#lastIndex = entryIndex;
  }
}

function invalid(field: string, expected: string, actual: number): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual: String(actual) });
}
