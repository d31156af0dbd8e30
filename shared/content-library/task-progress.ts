/** How far work on many files is. */
export interface FileProgress {
  readonly fileCount: number;
  readonly sizeBytes: number;
}

/** Between two messages about progress. */
const tellBytes = 16 * 1024 * 1024;
const tellFiles = 250;

/** Counts files and bytes, and tells now and then. */
export class TaskProgress {
  readonly #tell: (progress: FileProgress) => void;
  #fileCount = 0;
  #sizeBytes = 0;
  #toldFiles = 0;
  #toldBytes = 0;

  constructor(tell: (progress: FileProgress) => void) {
    this.#tell = tell;
  }

  onBytes(bytes: number): void {
    this.#sizeBytes += bytes;
    if (this.#sizeBytes - this.#toldBytes >= tellBytes) this.tell();
  }

  onFile(): void {
    this.#fileCount++;
    if (this.#fileCount - this.#toldFiles >= tellFiles) this.tell();
  }

  /** Tells how far it is now. */
  tell(): void {
    this.#toldFiles = this.#fileCount;
    this.#toldBytes = this.#sizeBytes;
    this.#tell({ fileCount: this.#fileCount, sizeBytes: this.#sizeBytes });
  }
}
