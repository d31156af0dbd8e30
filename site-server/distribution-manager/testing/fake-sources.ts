import { createHash } from 'node:crypto';
import type { ContentDescriptor } from '../../../shared/domain/content.ts';
import { WaybillError } from '../../../shared/domain/errors.ts';
import type { PackageVersion } from '../../../shared/domain/package.ts';
import { AbortError } from '../../../shared/runtime/abort-error.ts';
import type { PublishingLibrary, SnapshotContent, TakeSnapshot } from '../publishing-ports.ts';

/** What is in a source directory: any text stands for its bytes; an error is thrown instead. */
export type FakeSource = string | WaybillError;

/** Source directories, and a library that remembers what it was given across crashes. */
export class FakeSources {
  readonly directories = new Map<string, FakeSource>();
  /** Directories of a disk that does not answer. */
  readonly silent = new Set<string>();
  readonly packages = new Map<string, PackageVersion>();
  /** Content ID → hash: what every content ID has ever stood for in a committed version. */
  readonly #everCommitted = new Map<string, string>();
  #gate: Promise<void> = Promise.resolve();
  snapshotCount = 0;

  readonly takeSnapshot: TakeSnapshot = async ({ sources, onProgress, signal }) => {
    this.snapshotCount += 1;
    const contents: SnapshotContent[] = [];
    for (const { directory, contentId, previous } of sources) {
      onProgress({ files: 1, bytes: 1 });
      await orAborted(this.#gate, signal);
      const source = this.directories.get(directory);
      if (source === undefined) throw new WaybillError({ code: 'SOURCE_MISSING', path: directory });
      if (source instanceof WaybillError) throw source;
      const descriptor = toDescriptor(contentId, source);
      const unchanged = previous?.contentHash === descriptor.contentHash;
      contents.push({ descriptor, manifestPath: '', signaturePath: '', unchanged });
    }
    return { contents };
  };

  readonly library: PublishingLibrary & {
    removePackage(packageId: string): Promise<void>;
    listPackages(): AsyncGenerator<PackageVersion>;
  } = {
    getPackage: async (packageId) => this.packages.get(packageId),
    commitPackage: async ({ version }) => {
      this.#refuseContradiction(version);
      this.packages.set(version.packageId, version);
      return { packageHash: version.packageHash };
    },
    removePackage: async (packageId) => {
      this.packages.delete(packageId);
    },
    listPackages: () => valuesOf(this.packages),
  };

  /** Snapshots wait until the function that this returns is called. */
  hold(): () => void {
    let release = (): void => {};
    this.#gate = new Promise((resolve) => {
      release = resolve;
    });
    return release;
  }

  /** A version number and a content ID each mean one thing for ever. */
  #refuseContradiction(version: PackageVersion): void {
    const held = this.packages.get(version.packageId);
    const offered = version.sourceVersion;
    if (offered !== (held?.sourceVersion ?? 0) + 1 && version.packageHash !== held?.packageHash) {
      throw new Error(`Version ${offered} after ${held?.sourceVersion} of ${version.packageId}`);
    }
    for (const { contentId, contentHash } of version.contents) {
      const before = this.#everCommitted.get(contentId);
      if (before !== undefined && before !== contentHash) throw new Error(`${contentId} reused`);
      this.#everCommitted.set(contentId, contentHash);
    }
  }
}

/** A hash over the contents, as the library's is. */
export function fakePackageHashOf(contents: readonly ContentDescriptor[]): string {
  return hashOf(contents.map(({ contentHash }) => contentHash).join());
}

function toDescriptor(contentId: string, source: string): ContentDescriptor {
  return {
    contentId,
    contentHash: hashOf(source),
    signatureHash: hashOf(''),
    manifestBytes: 100,
    signatureBytes: 0,
    entryCount: 1,
    fileCount: 1,
    sizeBytes: source.length,
  };
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw new AbortError();
  const aborted = new Promise<void>((_, reject) => {
    signal.addEventListener('abort', () => reject(new AbortError()), { once: true });
  });
  await Promise.race([work, aborted]);
}

async function* valuesOf<V>(rows: ReadonlyMap<string, V>): AsyncGenerator<V> {
  yield* rows.values();
}
