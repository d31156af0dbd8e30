import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { RemainingTransfer } from '../../shared/domain/transfer-pace.ts';
import { TransferRate } from '../../shared/domain/transfer-rate.ts';
import type { SendRequestProgress } from '../scheduler/send-request-table.ts';

export interface SendProgressOptions {
  readonly request: Pick<SendRequest, 'file' | 'remainingBytes' | 'bytesSent'>;
  readonly monotonicMs: () => number;
  /** Called after each change. */
  readonly onChange: (progress: SendRequestProgress) => void;
}

/** How far a running send is; in memory, written to the row of its request now and then. */
export class SendProgress {
  readonly #options: SendProgressOptions;
  readonly #rate: TransferRate;
  #heldBytes: number;
  #sentBytes = 0;
  #gainedBytes = 0;
  #changeCount = 0;

  constructor(options: SendProgressOptions) {
    const { file, remainingBytes } = options.request;
    this.#options = options;
    this.#rate = new TransferRate(options.monotonicMs());
    this.#heldBytes = file.fileBytes - remainingBytes;
  }

  /** So many bytes were put on the wire. */
  sent(bytes: number): void {
    this.#sentBytes += bytes;
  }

  /** The receiver says what it has before anything is sent. */
  offered(heldBytes: number): void {
    this.#heldBytes = heldBytes;
    this.#changed();
  }

  /** The receiver has so many bytes now. */
  held(heldBytes: number): void {
    const bytes = heldBytes - this.#heldBytes;
    this.#gainedBytes += bytes;
    this.#rate.add(bytes, this.#options.monotonicMs());
    this.#heldBytes = heldBytes;
    this.#changed();
  }

  /** Grows with each word of the receiver. */
  get changeCount(): number {
    return this.#changeCount;
  }

  /** Bytes of this try that the receiver has confirmed. */
  get gainedBytes(): number {
    return this.#gainedBytes;
  }

  get remainingBytes(): number {
    return this.#options.request.file.fileBytes - this.#heldBytes;
  }

  /** Smoothed; 0 while nothing is known. */
  get bytesPerSecond(): number {
    return this.#rate.bytesPerSecond(this.#options.monotonicMs());
  }

  /** What the receiver has not got yet, and how quickly it gets it. */
  get remaining(): RemainingTransfer {
    const { remainingBytes } = this;
    return { remainingBytes, measured: this.#rate.pace(this.#options.monotonicMs()) };
  }

  #changed(): void {
    this.#changeCount += 1;
    const bytesSent = this.#options.request.bytesSent + this.#sentBytes;
    this.#options.onChange({ remainingBytes: this.remainingBytes, bytesSent });
  }
}
