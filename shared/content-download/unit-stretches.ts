import { hasPieces, pieceCountOf } from '../domain/content.ts';
import type { WantedUnitFile, WantedUnits } from '../package-receiver/content-inspection.ts';
import type { PlannedFile, UnitStretch } from './unit-plan.ts';

/** Units that are planned together: 16 GiB of pieces, and a millisecond to look through. */
export const stretchUnitsMax = 16_384;

/** A file that is being fetched, with all places it has in the content. */
export interface LiveFile extends PlannedFile {
  /** Numbers of its first unit wherever it stands, its own included. */
  readonly firstUnits: number[];
  /** Units of it that are to come. */
  missingCount: number;
}

/**
 * Cuts the wanted units of a content into stretches of bounded size, in its order. A file that stands
 * in the content more than once is planned once, as long as it is being fetched.
 */
export class UnitStretches {
  readonly #live = new Map<string, LiveFile>();
  readonly #unitsMax: number;

  constructor(unitsMax = stretchUnitsMax) {
    this.#unitsMax = unitsMax;
  }

  /** The stretches of what is wanted; none is empty. */
  async *cut(
    wanted: AsyncIterable<Pick<WantedUnits, 'files'>> | Iterable<Pick<WantedUnits, 'files'>>,
  ): AsyncGenerator<UnitStretch> {
    let stretch = new StretchInTheMaking();
    for await (const { files } of wanted) {
      for (const file of files) {
        const live = this.#plan(file);
        if (!live) continue;
        for (const pieceIndex of missingPieces(file)) {
          stretch.add(live, pieceIndex);
          if (stretch.unitCount < this.#unitsMax) continue;
          yield stretch.finished();
          stretch = new StretchInTheMaking();
        }
      }
    }
    if (stretch.unitCount > 0) yield stretch.finished();
  }

  /** A unit has come. @returns the numbers it has in the content */
  arrived({ hash, firstUnit }: PlannedFile, pieceIndex: number): readonly number[] {
    const live = this.#live.get(hash);
    if (!live) return [firstUnit + pieceIndex];
    live.missingCount -= 1;
    if (live.missingCount === 0) this.#live.delete(hash);
    return live.firstUnits.map((first) => first + pieceIndex);
  }

  /** Undefined for a file that is being fetched for another place already. */
  #plan({ hash, sizeBytes, firstUnit, pieces }: WantedUnitFile): LiveFile | undefined {
    const known = this.#live.get(hash);
    if (known) {
      known.firstUnits.push(firstUnit);
      return undefined;
    }
    const unitCount = hasPieces(sizeBytes) ? pieceCountOf(sizeBytes) : 1;
    const missingCount = unitCount - pieces.heldCount;
    const live = { hash, sizeBytes, firstUnit, firstUnits: [firstUnit], missingCount };
    if (missingCount > 0) this.#live.set(hash, live);
    return live;
  }
}

function* missingPieces({ sizeBytes, pieces }: WantedUnitFile): Generator<number> {
  const count = hasPieces(sizeBytes) ? pieceCountOf(sizeBytes) : 1;
  for (let index = 0; index < count; index++) if (!pieces.has(index)) yield index;
}

class StretchInTheMaking {
  readonly #files: PlannedFile[] = [];
  readonly #numbers: number[] = [];
  readonly #fileIndices: number[] = [];

  get unitCount(): number {
    return this.#numbers.length;
  }

  add(file: PlannedFile, pieceIndex: number): void {
    if (this.#files.at(-1) !== file) this.#files.push(file);
    this.#numbers.push(file.firstUnit + pieceIndex);
    this.#fileIndices.push(this.#files.length - 1);
  }

  finished(): UnitStretch {
    return {
      files: this.#files,
      numbers: Uint32Array.from(this.#numbers),
      fileIndices: Uint32Array.from(this.#fileIndices),
    };
  }
}
