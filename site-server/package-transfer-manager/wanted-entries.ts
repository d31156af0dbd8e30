/** Numbers kept in blocks, so that a million of them cost what they weigh. */
const blockLength = 65_536;

/** The entries of one content a DP wants, in manifest order: 8 bytes each, and the few partial files. */
export class WantedEntries {
  readonly #blocks: Float64Array[] = [];
  readonly #partial = new Map<number, Uint8Array>();
  #count = 0;

  /** @param piecesHeld bits of the pieces that are at the DP already; see PieceSet */
  add(entryIndex: number, piecesHeld: Uint8Array): void {
    const within = this.#count % blockLength;
    if (within === 0) this.#blocks.push(new Float64Array(blockLength));
    const block = this.#blocks.at(-1);
    if (block) block[within] = entryIndex;
    this.#count += 1;
    if (piecesHeld.length > 0) this.#partial.set(entryIndex, piecesHeld);
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
}
