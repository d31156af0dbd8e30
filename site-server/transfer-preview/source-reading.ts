import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChangedFile, changedFiles } from '../../shared/content-library/changed-files.ts';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { filePathOf } from '../../shared/content-library/library-layout.ts';
import { packageHashOf } from '../../shared/content-library/package-record.ts';
import { makeDelta, mayHaveDelta } from '../../shared/delta/delta-maker.ts';
import type { ContentDescriptor } from '../../shared/domain/content.ts';
import type { Delta } from '../../shared/domain/delta.ts';
import { contentIdOf } from '../../shared/domain/package-processing.ts';
import type { PackageSource, SitePackage } from '../../shared/domain/site-package.ts';
import type { EstimatedContent } from '../../shared/package-file/package-file-maker.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { checkSource, openPrevious, ownInodesOf } from '../distribution-manager/source-snapshot.ts';
import type {
  SnapshotInput,
  SnapshotMessage,
} from '../distribution-manager/source-snapshot-worker.ts';
import { type LackingBytes, lackingBytesOf } from './lacking-bytes.ts';
import { Kept, type PreviewedVersion } from './previewed-version.ts';

/** What reading sources needs. */
export interface SourceReadingNeeds {
  readonly library: Pick<ContentLibrary, 'layout' | 'threads' | 'openContent' | 'areHeld'>;
  /** Where the manifests are meanwhile; what is there at the start is left from a crash. */
  readonly scratchDirectory: string;
  /** Where the site keeps its own files: nothing of them is ever read. */
  readonly ownPlaces: readonly string[];
}

/** How much is done for one preview. */
export interface SourceReadingConfig {
  /** Files that get a delta, as when a version is published. @default 1_000 */
  readonly deltasMax: number;
  /** Room that stays free, in bytes: with less no deltas are made. @default 1 GiB */
  readonly reserveBytes: number;
}

export const defaultSourceReadingConfig: SourceReadingConfig = {
  deltasMax: 1_000,
  reserveBytes: 1024 ** 3,
};

/** What an update would publish. */
export interface ReadSource extends PreviewedVersion {
  readonly isUnchanged: boolean;
  /** What is not in this site's library yet. */
  readonly news: LackingBytes;
}

const snapshotProgram = new URL(
  '../distribution-manager/source-snapshot-worker.js',
  import.meta.url,
);

/**
 * Reads the source of a package as its snapshot would, and keeps nothing: manifests and deltas are in a
 * directory of their own until the preview is disposed of. The deltas are made as they would be, since
 * nothing else tells how large they become. A crash leaves that directory, which the next start removes.
 *
 * @throws the SOURCE_ codes, DISK_FULL; AbortError
 */
export async function readSource(
  needs: SourceReadingNeeds,
  sitePackage: SitePackage,
  signal: AbortSignal,
  config = defaultSourceReadingConfig,
): Promise<ReadSource> {
  const kept = new Kept();
  const scratch = join(needs.scratchDirectory, randomUUID());
  kept.defer(() => rm(scratch, { recursive: true, force: true }));
  try {
    await mkdir(join(scratch, 'deltas'), { recursive: true });
    const reading = new SourceReading(needs, { scratch, kept, signal, config });
    for (const source of sitePackage.sources) await reading.read(source, sitePackage);
    const read = reading.done(sitePackage);
    const news = await lackingBytesOf(
      { contents: read.contents, deltas: new Map() },
      { areHeld: (files) => needs.library.areHeld(files), hasContent: () => true },
      signal,
    );
    return { ...read, news, [Symbol.asyncDispose]: () => kept.letGo() };
  } catch (error) {
    await kept.letGo();
    throw error;
  }
}

interface ReadingOptions {
  readonly scratch: string;
  readonly kept: Kept;
  readonly signal: AbortSignal;
  readonly config: SourceReadingConfig;
}

/** One reading of all sources of a package. */
class SourceReading {
  readonly #needs: SourceReadingNeeds;
  readonly #options: ReadingOptions;
  readonly #contents: EstimatedContent[] = [];
  readonly #deltas = new Map<string, Delta>();
  #isUnchanged = true;

  constructor(needs: SourceReadingNeeds, options: ReadingOptions) {
    this.#needs = needs;
    this.#options = options;
  }

  async read(source: PackageSource, { sourceVersion }: SitePackage): Promise<void> {
    const { library } = this.#needs;
    const { scratch, kept } = this.#options;
    const directory = await checkSource(source.directory, this.#needs);
    const ownInodes = await ownInodesOf(this.#needs);
    const previous = await openPrevious(library, source.content);
    if (previous) kept.use(previous);
    const contentId = contentIdOf(source, sourceVersion + 1);
    const manifestPath = join(scratch, `${contentId}.manifest`);
    const signaturePath = join(scratch, `${contentId}.signature`);
    const descriptor = await this.#manifestOf({
      ...{ directory, contentId, manifestPath, signaturePath, staging: undefined },
      fileLibrary: library.layout.fileLibrary,
      ownInodes,
      previous: previous && {
        manifestPath: previous.manifestPath,
        descriptor: previous.descriptor,
      },
    });
    if (previous?.descriptor.contentHash === descriptor.contentHash) {
      this.#contents.push(previous);
      return;
    }
    this.#isUnchanged = false;
    const places = { source: directory, deltas: join(scratch, 'deltas') };
    const content = { descriptor, manifestPath, signaturePath, places };
    const deltas = previous ? await this.#deltasOf(previous, content) : [];
    for (const delta of deltas) this.#deltas.set(delta.fileHash, delta);
    this.#contents.push({ ...content, deltas });
  }

  done({ packageId, sourceVersion, properties }: SitePackage) {
    const descriptors = this.#contents.map(({ descriptor }) => descriptor);
    const version = {
      ...{ packageId, sourceVersion: sourceVersion + 1, properties },
      ...{ packageHash: packageHashOf(descriptors), contents: descriptors },
    };
    const isUnchanged = this.#isUnchanged && sourceVersion > 0;
    return { version, contents: this.#contents, deltas: this.#deltas, isUnchanged };
  }

  #manifestOf(input: SnapshotInput): Promise<ContentDescriptor> {
    const options = { onMessage: () => {}, signal: this.#options.signal };
    const { threads } = this.#needs.library;
    return threads.run<ContentDescriptor, SnapshotMessage>(snapshotProgram, input, options);
  }

  async #deltasOf(
    before: EstimatedContent,
    after: EstimatedContent & { readonly places: { readonly source: string } },
  ): Promise<Delta[]> {
    const deltas: Delta[] = [];
    const seen = new Set<string>();
    for await (const changed of changedFiles(before, after)) {
      const { base, file } = changed;
      const sizes = { baseBytes: base.sizeBytes, fileBytes: file.sizeBytes };
      if (seen.has(file.hash) || !mayHaveDelta(sizes)) continue;
      if (this.#deltas.size + seen.size >= this.#options.config.deltasMax) break;
      seen.add(file.hash);
      const delta = await this.#delta(changed, after.places.source);
      if (delta) deltas.push(delta);
    }
    return deltas;
  }

  /** @returns nothing when none is worth it, there is no room, or it fails: as when it is published */
  async #delta({ base, file, path }: ChangedFile, source: string): Promise<Delta | undefined> {
    const { library } = this.#needs;
    const { scratch, signal, config } = this.#options;
    const directory = join(scratch, 'deltas');
    const deltaPath = join(directory, 'making');
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize - config.reserveBytes < file.sizeBytes) return undefined;
    const request = {
      ...{ baseHash: base.hash, baseBytes: base.sizeBytes },
      ...{ fileHash: file.hash, fileBytes: file.sizeBytes, deltaPath },
      basePath: filePathOf(library.layout.fileLibrary, base.hash),
      filePath: join(source, path),
    };
    try {
      const delta = await makeDelta(library.threads, request, { signal });
      if (delta) await rename(deltaPath, join(directory, delta.deltaHash));
      return delta;
    } catch (error) {
      if (isAbortError(error)) throw error;
      return undefined;
    }
  }
}
