/** Pieces kept at most, of all files: as many as the lanes of a transfer are apart, and few MiB. */
const keptMax = 8;

/** A piece of a file that waits for those before it to be hashed. */
interface EarlyPiece {
  /** Whose it is: the same object means the same file. */
  readonly file: object;
  readonly index: number;
  readonly bytes: Uint8Array;
}

/**
 * Runs in the receive worker: keeps pieces that came before their turn, so that the hash of the whole
 * file need not read them back from the disk. What it has no room for is read back.
 */
export class EarlyPieces {
  /** Oldest first. */
  readonly #kept: EarlyPiece[] = [];

  /** @param bytes belong to this object alone from now on */
  keep(file: object, index: number, bytes: Uint8Array): void {
    if (this.#kept.length === keptMax) this.#kept.shift();
    this.#kept.push({ file, index, bytes });
  }

  /** The piece, which is kept no more; undefined when there was no room for it. */
  take(file: object, index: number): Uint8Array | undefined {
    const place = this.#kept.findIndex((one) => one.file === file && one.index === index);
    return place < 0 ? undefined : this.#kept.splice(place, 1)[0]?.bytes;
  }

  /** The file is closed. */
  forget(file: object): void {
    const others = this.#kept.filter((one) => one.file !== file);
    this.#kept.splice(0, this.#kept.length, ...others);
  }
}
