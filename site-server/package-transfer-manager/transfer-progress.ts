import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { RemainingTransfer } from '../../shared/domain/transfer-pace.ts';
import { TransferRate } from '../../shared/domain/transfer-rate.ts';

export interface TransferProgressOptions {
  readonly monotonicMs: () => number;
  /** Called after each change. */
  readonly onChange: () => void;
  /** The job as its earlier runs left it. */
  readonly job: Pick<DistributionJob, 'totalBytes' | 'remainingBytes' | 'bytesSent'>;
}

/** What a running transfer has moved; in memory, written to the job row now and then. */
export class TransferProgress {
  readonly #options: TransferProgressOptions;
  readonly #rate: TransferRate;
  #expectedBytes = 0;
  #acknowledgedBytes = 0;
  #acknowledgedCount = 0;
  #sentBytes = 0;
  /** Of messages that left in parts and are not acknowledged: counted for the rate already. */
  #partBytes = 0;

  constructor(options: TransferProgressOptions) {
    this.#options = options;
    this.#rate = new TransferRate(options.monotonicMs());
  }

  /** More (or, negative, fewer) content bytes are to be sent than was known. */
  expect(bytes: number): void {
    this.#expectedBytes += bytes;
    this.#options.onChange();
  }

  /** Content bytes were put on the wire. */
  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /**
   * A part of a message has left. With a low limit a message takes long: its rate shows before the DP
   * has it.
   */
  partSent(bytes: number): void {
    this.#partBytes += bytes;
    this.#rate.add(bytes, this.#options.monotonicMs());
    this.#options.onChange();
  }

  /** The DP has verified and written them. */
  acknowledged(bytes: number): void {
    this.#acknowledgedBytes += bytes;
    this.#acknowledgedCount += 1;
    const countedBytes = Math.min(bytes, this.#partBytes);
    this.#partBytes -= countedBytes;
    this.#rate.add(bytes - countedBytes, this.#options.monotonicMs());
    this.#options.onChange();
  }

  /** Content bytes this run has to bring, as far as is known; 0 before the DP was asked. */
  get expectedBytes(): number {
    return this.#expectedBytes;
  }

  get acknowledgedBytes(): number {
    return this.#acknowledgedBytes;
  }

  /** Messages the DP has acknowledged. */
  get acknowledgedCount(): number {
    return this.#acknowledgedCount;
  }

  /** Content bytes this run has put on the wire. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  get sentBytesOfAllRuns(): number {
    return this.#options.job.bytesSent + this.#sentBytes;
  }

  /** All that the job has to bring, what earlier runs have brought included. */
  get totalBytes(): number {
    const { totalBytes, remainingBytes } = this.#options.job;
    return totalBytes - remainingBytes + this.#expectedBytes;
  }

  get remainingBytes(): number {
    return Math.max(0, this.#expectedBytes - this.#acknowledgedBytes);
  }

  /** 0 to 100; 100 only when everything is acknowledged. */
  get percent(): number {
    if (this.#expectedBytes <= 0) return 0;
    return Math.floor((100 * (this.totalBytes - this.remainingBytes)) / this.totalBytes);
  }

  /** Smoothed; 0 while nothing is known. */
  get bytesPerSecond(): number {
    return this.#rate.bytesPerSecond(this.#options.monotonicMs());
  }

  /** What has still to leave, and how quickly it does: what says when all is there. */
  get remaining(): RemainingTransfer {
    const remainingBytes = Math.max(0, this.remainingBytes - this.#partBytes);
    return { remainingBytes, measured: this.#rate.pace(this.#options.monotonicMs()) };
  }
}
