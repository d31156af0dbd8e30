/** Requests of fewer bytes say how long an answer takes, not how quickly bytes come. */
const rateBytesMin = 64 * 1024;
/** How much of the last measure stays in an expectation that turned out too long. */
const kept = 0.8;

/**
 * How long an answer of a source takes, as far as it was measured. What took longer than expected is
 * believed at once, what took less only little by little: others come and go on the same link, and
 * whoever gives up on an answer has fetched its bytes in vain.
 */
export class SourcePace {
  #smallMs: number | undefined;
  #msPerByte: number | undefined;

  /** An answer of so many bytes came after so long. */
  note(bytes: number, ms: number): void {
    if (bytes < rateBytesMin) this.#smallMs = decayedMax(this.#smallMs, ms);
    else this.#msPerByte = decayedMax(this.#msPerByte, ms / bytes);
  }

  /** How long such an answer should take; undefined when nothing of the kind was measured. */
  expectedMs(bytes: number): number | undefined {
    const perByte = this.#msPerByte;
    const byRate = perByte === undefined ? undefined : perByte * Math.max(bytes, rateBytesMin);
    return bytes < rateBytesMin ? (this.#smallMs ?? byRate) : byRate;
  }
}

function decayedMax(before: number | undefined, now: number): number {
  return before === undefined ? now : Math.max(now, before * kept + now * (1 - kept));
}
