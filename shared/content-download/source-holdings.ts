import { WaybillError } from '../domain/errors.ts';

/** A message of WatchHoldings, as it is received. */
export interface HoldingsMessage {
  readonly complete: boolean;
  /** Decimal text, as 64-bit numbers travel. */
  readonly firstUnit: string;
  readonly units: Uint8Array;
}

/** Units from the first up to, not including, the end. */
export interface UnitRange {
  readonly firstUnit: number;
  readonly endUnit: number;
}

/**
 * What a source holds of a content, by units: all of them, or those it has spoken of. Never more
 * memory than one bit a unit of the content, whatever the source says.
 */
export class SourceHoldings {
  readonly unitCount: number;
  #isComplete = false;
  /** Made with the first message that names units. */
  #bits: Uint8Array | undefined;

  constructor(unitCount: number) {
    this.unitCount = unitCount;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  has(unit: number): boolean {
    return this.#isComplete || (((this.#bits?.[unit >> 3] ?? 0) >> (unit & 7)) & 1) === 1;
  }

  /**
   * Takes what the source says now.
   *
   * @returns the units it spoke of
   * @throws MESSAGE_INVALID when it speaks of units the content does not have
   */
  apply({ complete, firstUnit: text, units }: HoldingsMessage): UnitRange {
    if (complete) {
      this.#isComplete = true;
      return this.#all;
    }
    const wasComplete = this.#isComplete;
    const firstUnit = this.#requirePlace(text, units.length);
    if (units.length === 0) return { firstUnit, endUnit: firstUnit };
    this.#spell().set(units, firstUnit / 8);
    const endUnit = Math.min(this.unitCount, firstUnit + units.length * 8);
    return wasComplete ? this.#all : { firstUnit, endUnit };
  }

  /** The source has said that it does not hold this unit, or not any more. */
  lacks(unit: number): void {
    const bits = this.#spell();
    bits[unit >> 3] = (bits[unit >> 3] ?? 0) & ~(1 << (unit & 7));
  }

  /** Nothing is known of the source any more. */
  clear(): void {
    this.#isComplete = false;
    this.#bits = undefined;
  }

  get #all(): UnitRange {
    return { firstUnit: 0, endUnit: this.unitCount };
  }

  /** The bits, also of a source that held everything until now. */
  #spell(): Uint8Array {
    this.#bits ??= new Uint8Array(Math.ceil(this.unitCount / 8));
    if (this.#isComplete) this.#bits.fill(0xff);
    this.#isComplete = false;
    return this.#bits;
  }

  #requirePlace(text: string, lengthBytes: number): number {
    const firstUnit = Number(text);
    const end = Math.ceil(this.unitCount / 8) * 8;
    const isPlace = Number.isSafeInteger(firstUnit) && firstUnit >= 0 && firstUnit % 8 === 0;
    if (isPlace && firstUnit + lengthBytes * 8 <= end) return firstUnit;
    throw new WaybillError({
      code: 'MESSAGE_INVALID',
      field: 'holdings',
      expected: `units below ${this.unitCount}, from a multiple of 8 on`,
      actual: `${lengthBytes * 8} from ${Number.isSafeInteger(firstUnit) ? firstUnit : 'nowhere'} on`,
    });
  }
}
