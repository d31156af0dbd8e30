import type { LinkAllowance } from './link-allowance.ts';

const kib = 1024;

/** Fewest bytes that may be on their way unconfirmed: two parts, so that the link is never idle. */
export const windowBytesMin = 512 * kib;
/** Parts are as large as that lets four of them be on their way. */
const partBytesMin = 256 * kib;
const partBytesMax = 1024 * kib;
/** Confirmations whose best rate counts. */
const rateSamplesMax = 8;
/** After so long without a shortest round trip that is sure, one is measured on an idle link. */
const probeMs = 30_000;

interface PartOnItsWay {
  readonly endBytes: number;
  readonly sentAtMs: number;
  readonly confirmedBytesThen: number;
  /** Nothing else was on its way. */
  readonly wasAlone: boolean;
}

/**
 * How many bytes one send may have on their way: twice what the link takes in its shortest round
 * trip, within what the link is allowed. It grows only as long as more bytes come back sooner; bytes
 * that merely wait in front of a thin link make it no larger. Pure; times are monotonic.
 */
export class SendWindow {
  readonly #allowance: Pick<LinkAllowance, 'bytes'>;
  readonly #parts: PartOnItsWay[] = [];
  readonly #rates: number[] = [];
  #sentBytes: number;
  #confirmedBytes: number;
  #shortestMs = Number.POSITIVE_INFINITY;
  #shortestAtMs = 0;
  #nowMs = 0;

  /** @param fromBytes where the receiver stands */
  constructor(allowance: Pick<LinkAllowance, 'bytes'>, fromBytes: number) {
    this.#allowance = allowance;
    this.#sentBytes = fromBytes;
    this.#confirmedBytes = fromBytes;
  }

  get inFlightBytes(): number {
    return this.#sentBytes - this.#confirmedBytes;
  }

  /** Bytes that may be on their way. */
  get bytes(): number {
    const wanted = Number.isFinite(this.#shortestMs) ? 2 * this.#rate * this.#shortestMs : 0;
    return Math.max(windowBytesMin, Math.min(wanted, this.#allowance.bytes));
  }

  /** How large the next part may be. */
  get partBytes(): number {
    const quarter = Math.floor(this.bytes / 4 / partBytesMin) * partBytesMin;
    return Math.max(partBytesMin, Math.min(partBytesMax, quarter));
  }

  /** Whether a part of so many bytes may be sent now. */
  hasRoomFor(bytes: number): boolean {
    if (this.inFlightBytes === 0) return true;
    return !this.#isProbing && this.inFlightBytes + bytes <= this.bytes;
  }

  sent(bytes: number, nowMs: number): void {
    const wasAlone = this.inFlightBytes === 0;
    this.#nowMs = nowMs;
    this.#sentBytes += bytes;
    const endBytes = this.#sentBytes;
    this.#parts.push({
      endBytes,
      sentAtMs: nowMs,
      confirmedBytesThen: this.#confirmedBytes,
      wasAlone,
    });
  }

  /** The receiver has all bytes before this one. */
  confirmed(heldBytes: number, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#confirmedBytes = heldBytes;
    let last: PartOnItsWay | undefined;
    while ((this.#parts[0]?.endBytes ?? Number.POSITIVE_INFINITY) <= heldBytes) {
      last = this.#parts.shift();
    }
    if (last) this.#measure(last, heldBytes, nowMs);
  }

  #measure(part: PartOnItsWay, heldBytes: number, nowMs: number): void {
    const tripMs = Math.max(0.1, nowMs - part.sentAtMs);
    this.#rates.push((heldBytes - part.confirmedBytesThen) / tripMs);
    if (this.#rates.length > rateSamplesMax) this.#rates.shift();
    if (!part.wasAlone && tripMs > this.#shortestMs) return;
    this.#shortestMs = tripMs;
    this.#shortestAtMs = nowMs;
  }

  /** Bytes per millisecond, the best of late: one slow confirmation closes nothing. */
  get #rate(): number {
    return Math.max(0, ...this.#rates);
  }

  get #isProbing(): boolean {
    return Number.isFinite(this.#shortestMs) && this.#nowMs - this.#shortestAtMs > probeMs;
  }
}
