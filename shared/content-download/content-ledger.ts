/** The part of a download's observer that counts bytes. */
export interface ByteObserver {
  expected(bytes: number): void;
  done(bytes: number): void;
}

/** Tells of the bytes of one content: how many are to come, as far as that is known, and have come. */
export class ContentLedger {
  readonly #observer: ByteObserver;
  #toldBytes = 0;
  #doneBytes = 0;

  /** @param sizeBytes the content's; as long as nobody has looked, all of it is to come */
  constructor(observer: ByteObserver, sizeBytes: number) {
    this.#observer = observer;
    this.#tell(sizeBytes);
  }

  /** So many bytes are missing, besides those that are done. */
  missing(bytes: number): void {
    this.#tell(this.#doneBytes + bytes);
  }

  done(bytes: number): void {
    this.#doneBytes += bytes;
    this.#observer.done(bytes);
  }

  #tell(totalBytes: number): void {
    const bytes = totalBytes - this.#toldBytes;
    this.#toldBytes = totalBytes;
    if (bytes !== 0) this.#observer.expected(bytes);
  }
}
