import { TransferRate } from '../../shared/domain/transfer-rate.ts';

/** What a running transfer has moved; in memory, written to the job row now and then. */
export class TransferProgress {
  readonly #monotonicMs: () => number;
  readonly #onChange: () => void;
  readonly #rate: TransferRate;
  #expectedBytes = 0;
  #acknowledgedBytes = 0;
  #sentBytes = 0;
  #countedSentBytes = 0;

  constructor(monotonicMs: () => number, onChange: () => void) {
    this.#monotonicMs = monotonicMs;
    this.#onChange = onChange;
    this.#rate = new TransferRate(monotonicMs());
  }

  /** More (or, negative, fewer) content bytes are to be sent than was known. */
  expect(bytes: number): void {
    this.#expectedBytes += bytes;
    this.#onChange();
  }

  /** Content bytes were put on the wire. */
  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** The DP has verified and written them. */
  acknowledged(bytes: number): void {
    this.#acknowledgedBytes += bytes;
    this.#rate.add(bytes, this.#monotonicMs());
    this.#onChange();
  }

  get expectedBytes(): number {
    return this.#expectedBytes;
  }

  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Sent bytes that no row counts yet: the sum over all runs of a job is kept in its row. */
  takeUncountedSentBytes(): number {
    const bytes = this.#sentBytes - this.#countedSentBytes;
    this.#countedSentBytes = this.#sentBytes;
    return bytes;
  }

  get remainingBytes(): number {
    return Math.max(0, this.#expectedBytes - this.#acknowledgedBytes);
  }

  /** 0 to 100; 100 only when everything is acknowledged. */
  get percent(): number {
    if (this.#expectedBytes <= 0) return 0;
    return Math.min(100, Math.floor((100 * this.#acknowledgedBytes) / this.#expectedBytes));
  }

  get bytesPerSecond(): number {
    return this.#rate.bytesPerSecond;
  }

  get etaMs(): number {
    return this.#rate.etaMs(this.remainingBytes);
  }
}
