import type { ContentDescriptor } from '../domain/content.ts';
import type { IndexedEntry, ManifestReader } from './manifest-reader.ts';

/** A content that is being read. Nothing of it is let go before this is disposed of. */
export class ContentReader implements AsyncDisposable {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  readonly signaturePath: string;
  readonly #manifest: ManifestReader;
  readonly #endLease: () => void;

  constructor(parts: { manifest: ManifestReader; signaturePath: string; endLease: () => void }) {
    this.descriptor = parts.manifest.descriptor;
    this.manifestPath = parts.manifest.path;
    this.signaturePath = parts.signaturePath;
    this.#manifest = parts.manifest;
    this.#endLease = parts.endLease;
  }

  /** Entries in the manifest's order, in batches of at most 2,000. @throws as a manifest reader */
  entries(): AsyncGenerator<readonly IndexedEntry[]> {
    return this.#manifest.entries();
  }

  /** Ends the lease. Safe twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#endLease();
  }
}
