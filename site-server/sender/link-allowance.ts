const mib = 1024 * 1024;

/** What a link that was never cut may have on its way at first, in bytes. */
const freshBytes = 4 * mib;
/** The part of what has come through that is added to it. */
const freshPart = 1 / 16;
/** What a link may have on its way after it was cut, in bytes. */
const cutBytes = mib / 2;
/** The part of what has come through since that it may have instead, once that is more. */
const cutPart = 1 / 128;

/**
 * How many bytes may be lost when the link to a site dies, which is what is on its way: a few at
 * most on a link that is cut often, so that what is sent twice stays below a hundredth; more the
 * longer it holds. One for each destination, kept over its sends; in memory.
 */
export class LinkAllowance {
  readonly #bytesMax: number;
  #confirmedBytes = 0;
  #wasCut = false;

  /** @param bytesMax never more than this */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    const earned = this.#wasCut
      ? Math.max(cutBytes, this.#confirmedBytes * cutPart)
      : freshBytes + this.#confirmedBytes * freshPart;
    return Math.min(this.#bytesMax, earned);
  }

  /** So many bytes came through. */
  confirmed(bytes: number): void {
    this.#confirmedBytes += bytes;
  }

  /** The link died while bytes were on their way. */
  cut(): void {
    this.#wasCut = true;
    this.#confirmedBytes = 0;
  }
}
