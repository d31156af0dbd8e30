import type { ContentDescriptor } from '../domain/content.ts';
import { type IndexedEntry, openManifest } from './manifest-reader.ts';

/** A content that is being read. Nothing of it is let go before this is disposed of. */
export class ContentReader implements AsyncDisposable {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  readonly signaturePath: string;
  readonly #endLease: () => void;

  constructor(parts: {
    descriptor: ContentDescriptor;
    manifestPath: string;
    signaturePath: string;
    endLease: () => void;
  }) {
    this.descriptor = parts.descriptor;
    this.manifestPath = parts.manifestPath;
    this.signaturePath = parts.signaturePath;
    this.#endLease = parts.endLease;
  }

  /**
   * Entries in the manifest's order, in batches of at most 2,000.
   *
   * @param manifest its bytes, of somebody who has them; checked as those of the file
   * @throws as a manifest reader
   */
  entries(manifest?: Uint8Array): AsyncGenerator<readonly IndexedEntry[]> {
    return openManifest(manifest ?? this.manifestPath, this.descriptor).entries();
  }

  /** Ends the lease. Safe twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#endLease();
  }
}
