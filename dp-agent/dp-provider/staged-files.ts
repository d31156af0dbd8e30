/** A file that is whole and verified in the incoming folder, not yet in the library. */
export interface StagedFile {
  readonly path: string;
  /** Lower-case hexadecimal BLAKE3-256. */
  readonly hash: string;
  readonly sizeBytes: number;
}

/** The whole files that wait to be taken over by the library, many at a time. */
export class StagedFiles {
  readonly #files = new Map<string, StagedFile>();
  #sizeBytes = 0;

  get count(): number {
    return this.#files.size;
  }

  /** Bytes of all of them. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  has(hash: string): boolean {
    return this.#files.has(hash);
  }

  list(): StagedFile[] {
    return [...this.#files.values()];
  }

  add(file: StagedFile): void {
    if (this.#files.has(file.hash)) return;
    this.#files.set(file.hash, file);
    this.#sizeBytes += file.sizeBytes;
  }

  /** They are in the library now, or nowhere: not in the incoming folder any more. */
  remove(files: readonly Pick<StagedFile, 'hash'>[]): void {
    for (const { hash } of files) {
      this.#sizeBytes -= this.#files.get(hash)?.sizeBytes ?? 0;
      this.#files.delete(hash);
    }
  }
}
