import type { PieceSet } from '../../shared/domain/piece-set.ts';

/** Numbers kept in blocks, so that a million of them cost what they weigh. */
const blockLength = 65_536;

/** The entries of one content a DP wants, in manifest order: 8 bytes each, and the few partial files. */
export class WantedEntries {
  readonly #blocks: Float64Array[] = [];
  readonly #partial = new Map<number, PieceSet>();
  #count = 0;

  /** @param pieces given when some pieces of the file are at the DP already */
  add(entryIndex: number, pieces?: PieceSet): void {
    const within = this.#count % blockLength;
    if (within === 0) this.#blocks.push(new Float64Array(blockLength));
    const block = this.#blocks.at(-1);
    if (block) block[within] = entryIndex;
    this.#count += 1;
    if (pieces) this.#partial.set(entryIndex, pieces);
  }

  get count(): number {
    return this.#count;
  }

  piecesOf(entryIndex: number): PieceSet | undefined {
    return this.#partial.get(entryIndex);
  }

  /** Answers in order: `isNext(i)` must be asked with rising indices. */
  cursor(): (entryIndex: number) => boolean {
    let position = 0;
    const at = (index: number) => this.#blocks[Math.floor(index / blockLength)]?.[index % blockLength];
    return (entryIndex) => {
      if (position >= this.#count || at(position) !== entryIndex) return false;
      position += 1;
      return true;
    };
  }
}
