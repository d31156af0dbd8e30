/** A file that is whole and verified in the incoming folder, not yet in the library. */
export interface StagedFile {
  readonly path: string;
  /** Lower-case hexadecimal BLAKE3-256. */
  readonly hash: string;
  readonly sizeBytes: number;
}

/** How much lies there. */
export interface StagedAmount {
  readonly count: number;
  readonly sizeBytes: number;
}

/** The whole files on their way into the library, which takes them over many at a time. */
export class StagedFiles {
  readonly #waiting = new FileSet();
  readonly #taken = new FileSet();

  /** All that is not in the library yet. */
  get all(): StagedAmount {
    return {
      count: this.#waiting.count + this.#taken.count,
      sizeBytes: this.#waiting.sizeBytes + this.#taken.sizeBytes,
    };
  }

  /** What nobody is taking over yet. */
  get waiting(): StagedAmount {
    return this.#waiting;
  }

  has(hash: string): boolean {
    return this.#waiting.has(hash) || this.#taken.has(hash);
  }

  /** Where it lies; undefined when it is not staged. */
  pathOf(hash: string): string | undefined {
    return (this.#waiting.get(hash) ?? this.#taken.get(hash))?.path;
  }

  add(file: StagedFile): void {
    if (!this.has(file.hash)) this.#waiting.add(file);
  }

  /** All that waits; it is being taken over from now on. */
  take(): StagedFile[] {
    return this.#waiting.list().map((file) => this.#move(file, this.#waiting, this.#taken));
  }

  /** Those that were not taken over wait again; not one that came anew, and was taken again. */
  putBack(files: readonly StagedFile[]): void {
    for (const file of files) {
      if (this.#taken.get(file.hash) === file) this.#move(file, this.#taken, this.#waiting);
    }
  }

  /** They are in the library now, or nowhere: not in the incoming folder any more. */
  remove(files: readonly Pick<StagedFile, 'hash'>[]): void {
    for (const { hash } of files) {
      this.#waiting.delete(hash);
      this.#taken.delete(hash);
    }
  }

  #move(file: StagedFile, from: FileSet, to: FileSet): StagedFile {
    from.delete(file.hash);
    to.add(file);
    return file;
  }
}

class FileSet implements StagedAmount {
  readonly #files = new Map<string, StagedFile>();
  sizeBytes = 0;

  get count(): number {
    return this.#files.size;
  }

  has(hash: string): boolean {
    return this.#files.has(hash);
  }

  get(hash: string): StagedFile | undefined {
    return this.#files.get(hash);
  }

  list(): StagedFile[] {
    return [...this.#files.values()];
  }

  add(file: StagedFile): void {
    this.#files.set(file.hash, file);
    this.sizeBytes += file.sizeBytes;
  }

  delete(hash: string): void {
    this.sizeBytes -= this.#files.get(hash)?.sizeBytes ?? 0;
    this.#files.delete(hash);
  }
}
