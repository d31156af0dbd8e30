import type { PieceSet } from '../domain/piece-set.ts';

/** Bits of so many units, from a multiple of 8 on; see Holdings in content.proto. */
export interface UnitsPart {
  readonly firstUnit: number;
  readonly units: Buffer;
}

/** Bytes of bits in one message: four million units. */
const partBytesMax = 512 * 1024;

/** What one watcher was told of the units of an arriving content. Units never go back. */
export class ToldUnits {
  readonly #units: PieceSet;
  readonly #told: Buffer;
  readonly #partBytes: number;

  constructor(units: PieceSet, partBytes = partBytesMax) {
    this.#units = units;
    this.#told = Buffer.alloc(Math.ceil(units.pieceCount / 8));
    this.#partBytes = partBytes;
  }

  /** All units as they are now, in parts; one part at least. */
  *all(): Generator<UnitsPart> {
    this.#told.set(this.#units.toBytes());
    let start = 0;
    do {
      yield this.#part(start, start + this.#partBytes);
      start += this.#partBytes;
    } while (start < this.#told.length);
  }

  /** The bits around what has come since, or the first part of them; undefined when nothing has. */
  changed(): UnitsPart | undefined {
    const now = this.#units.toBytes();
    const isNew = (bits: number, index: number) => (bits & ~(this.#told[index] ?? 0)) !== 0;
    const first = now.findIndex(isNew);
    if (first === -1) return undefined;
    const end = Math.min(now.findLastIndex(isNew) + 1, first + this.#partBytes);
    for (let index = first; index < end; index++) {
      this.#told[index] = (this.#told[index] ?? 0) | (now[index] ?? 0);
    }
    return this.#part(first, end);
  }

  /** Copied: the bits go on changing while the message is on its way. */
  #part(start: number, end: number): UnitsPart {
    return { firstUnit: start * 8, units: Buffer.from(this.#told.subarray(start, end)) };
  }
}
