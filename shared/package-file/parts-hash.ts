import { ContentHash, hashOf } from '../content-library/content-hash.ts';

/** The hash of a file whose bytes come in parts: most files are one part, which costs half as much. */
export class PartsHash {
  readonly #sizeBytes: number;
  #hasher: ContentHash | undefined;
  #whole = '';

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  update(bytes: Uint8Array): void {
    if (!this.#hasher && bytes.length === this.#sizeBytes) {
      this.#whole = hashOf(bytes);
      return;
    }
    this.#hasher ??= new ContentHash();
    this.#hasher.update(bytes);
  }

  /** Lower-case hexadecimal; of all parts, which have as many bytes as was said. Ends this hash. */
  digest(): string {
    if (this.#whole !== '') return this.#whole;
    return (this.#hasher ?? new ContentHash()).digest();
  }
}
