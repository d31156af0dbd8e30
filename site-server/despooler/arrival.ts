import type { WaybillError } from '../../shared/domain/errors.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { partKeyOf } from './part-path.ts';

/** Who brings a file: a request keeps its ID through all its tries. */
export interface Bringer {
  readonly siteCode: string;
  readonly requestId: string;
}

/** A part that is open, and the stream that brings it, if one does. */
export class Arrival implements PackageFileFacts {
  /** Which part it is. */
  readonly key: string;
  readonly fileHash: string;
  readonly fileBytes: number;
  /** As far as the event loop knows; the worker knows for certain. */
  heldBytes = 0;
  isOpen = false;
  #stream: { readonly bringer: Bringer; readonly owner: AbortController } | undefined;

  constructor({ fileHash, fileBytes }: PackageFileFacts, siteCode: string) {
    this.key = partKeyOf(siteCode, fileHash);
    this.fileHash = fileHash;
    this.fileBytes = fileBytes;
  }

  get missingBytes(): number {
    return this.fileBytes - this.heldBytes;
  }

  /** Whose stream brings it; undefined when it rests. */
  get bringer(): Bringer | undefined {
    return this.#stream?.bringer;
  }

  /** A stream begins; none may be there. Its owner stands for it from now on. */
  begin(bringer: Bringer): AbortController {
    const owner = new AbortController();
    this.#stream = { bringer, owner };
    return owner;
  }

  /** The stream is over, and is told why. */
  end(reason: WaybillError | AbortError = new AbortError()): void {
    this.#stream?.owner.abort(reason);
    this.#stream = undefined;
  }

  /** The stream that ended by itself brings nothing any more. */
  endIf(owner: AbortController): void {
    if (this.#stream?.owner === owner) this.#stream = undefined;
  }

  /** @throws why the stream is over, when another one took its place */
  require(owner: AbortController): void {
    owner.signal.throwIfAborted();
  }
}

/** One stream that brings a file. Disposed of when it is over, however it ended. */
export interface ArrivingStream extends Disposable {
  /** Fires when another try of the same request has begun. */
  readonly signal: AbortSignal;
  /**
   * Adds bytes, whose memory is given away.
   *
   * @returns bytes of the file that are written by now
   * @throws MESSAGE_INVALID for more bytes than the file has, FILE_ALREADY_ARRIVING, DISK_FULL
   */
  write(bytes: Uint8Array): Promise<number>;
  /** Verifies the whole file. @throws FILE_HASH_MISMATCH: nothing of it is left */
  finish(): Promise<void>;
}
