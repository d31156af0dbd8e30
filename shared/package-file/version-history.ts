import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ManifestPlace } from '../content-library/changed-files.ts';
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { ContentReader } from '../content-library/content-reader.ts';
import { syncDirectories } from '../content-library/file-system-sync.ts';
import { isSystemError } from '../content-library/library-failure.ts';
import { type PackageVersion, parsePackageId } from '../domain/package.ts';
import { SerialQueue } from '../runtime/serial-queue.ts';
import type { HistoryInput } from './history-worker.ts';
import { SortedHashes } from './sorted-hashes.ts';
import {
  contentsName,
  hashesName,
  manifestName,
  parseVersionContents,
  patchesName,
  unfinishedSuffix,
} from './version-history-layout.ts';

/** What the history of versions needs. */
export interface VersionHistoryComponents {
  readonly library: Pick<ContentLibrary, 'openContent' | 'layout' | 'threads'>;
}

/** How the history of versions is tuned. */
export interface VersionHistoryConfig {
  /** Where it is, or will be: `<PackageID>/<version>/…`. Nothing else is in it. */
  readonly directory: string;
  /** Versions that are kept before the newest one. @default 5 */
  readonly versionsBeforeMax: number;
  /** Longest manifest of which a copy is kept, in bytes. @default 64 MiB */
  readonly manifestBytesMax: number;
}

/** As documented at each. */
export const defaultVersionHistoryConfig: Omit<VersionHistoryConfig, 'directory'> = {
  versionsBeforeMax: 5,
  manifestBytesMax: 64 * 1024 * 1024,
};

/** What is known of a version. */
export interface RecordedVersion {
  /** For `SortedHashes`. */
  readonly hashesPath: string;
  /** For `readPatchList`: how its small files are made from those of the version before. */
  readonly patchesPath: string;
  /** The manifest is a copy, when it is not too long; nobody has checked it since it was written. */
  readonly contents: readonly ManifestPlace[];
}

/** How a version is recorded. */
export interface RecordOptions {
  readonly before?: readonly ManifestPlace[];
  readonly signal?: AbortSignal;
}

/**
 * What the last versions of packages consisted of, so that a package file can be made against each of
 * them (REP-2): the content itself is gone from the library by then. Called by Distribution Manager,
 * which records each version it publishes before the next one takes its place, and by the maker of
 * package files.
 *
 * Writes its directory and nothing else. A version is there by one rename, after all of it is durable;
 * a crash leaves a directory that the next record of the package deletes. Without its history a
 * package travels in full.
 */
export class VersionHistory {
  readonly #needs: VersionHistoryComponents;
  readonly #config: VersionHistoryConfig;
  readonly #changes = new SerialQueue();

  constructor(needs: VersionHistoryComponents, config: VersionHistoryConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /**
   * Records a version that is in the library, and forgets those that are too old beside it. Can be
   * done twice.
   *
   * @param options.before the contents of the version before, kept by the caller: small files that
   *   changed get patches; without, and after a crash, they travel whole
   * @throws CONTENT_NOT_HELD when the library has it no more; MANIFEST_INVALID, CONTENT_HASH_MISMATCH
   *   when it is damaged; DISK_FULL; AbortError
   */
  async record(version: PackageVersion, options: RecordOptions = {}): Promise<void> {
    await this.#changes.run(async () => {
      const { packageId, sourceVersion } = version;
      if (!(await this.hasVersion(packageId, sourceVersion))) await this.#write(version, options);
      await this.#prune(packageId, sourceVersion);
    });
  }

  /** Whether a package file can be made against this version. */
  async hasVersion(packageId: string, sourceVersion: number): Promise<boolean> {
    return (await this.find(packageId, sourceVersion)) !== undefined;
  }

  /** What is known of a version; it may be forgotten any time. */
  async find(packageId: string, sourceVersion: number): Promise<RecordedVersion | undefined> {
    const directory = this.#directoryOf(packageId, sourceVersion);
    const hashesPath = join(directory, hashesName);
    try {
      await access(hashesPath);
      const descriptors = parseVersionContents(
        await readFile(join(directory, contentsName), 'utf8'),
      );
      const contents = descriptors?.map((descriptor) => {
        return { descriptor, manifestPath: join(directory, manifestName(descriptor.contentId)) };
      });
      return contents && { hashesPath, patchesPath: join(directory, patchesName), contents };
    } catch (error) {
      // One that the disk has damaged is as good as none.
      if (isSystemError(error, 'ENOENT', 'ENOTDIR', 'EIO')) return undefined;
      throw error;
    }
  }

  /** The hashes of a version's files; undefined when they are not known. The caller disposes of it. */
  async filesOf(packageId: string, sourceVersion: number): Promise<SortedHashes | undefined> {
    const recorded = await this.find(packageId, sourceVersion);
    return recorded && new SortedHashes(recorded.hashesPath);
  }

  /** Forgets all versions of a package. Fine when there are none. */
  async forget(packageId: string): Promise<void> {
    const directory = this.#packageDirectoryOf(packageId);
    await this.#changes.run(() => rm(directory, { recursive: true, force: true }));
  }

  async #write(version: PackageVersion, { before = [], signal }: RecordOptions): Promise<void> {
    const { library } = this.#needs;
    const readers: ContentReader[] = [];
    const directory = this.#directoryOf(version.packageId, version.sourceVersion);
    const unfinished = `${directory}${unfinishedSuffix}`;
    try {
      for (const { contentId } of version.contents) {
        readers.push(await library.openContent(contentId));
      }
      for (const path of [unfinished, directory]) await rm(path, { recursive: true, force: true });
      await mkdir(unfinished, { recursive: true });
      const { manifestBytesMax } = this.#config;
      const { fileLibrary } = library.layout;
      const input: HistoryInput = {
        ...{ contents: readers.map(toPlace), before: before.map(toPlace), fileLibrary },
        ...{ directory: unfinished, manifestBytesMax },
      };
      const program = new URL('./history-worker.js', import.meta.url);
      await library.threads.run<void, never>(program, input, { onMessage: () => {}, signal });
      await rename(unfinished, directory);
      await syncDirectories(this.#config.directory, [this.#packageDirectoryOf(version.packageId)]);
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      throw error;
    } finally {
      for (const reader of readers) await reader[Symbol.asyncDispose]();
    }
  }

  /** Deletes what a crash left, and versions that nobody gets a delta from any more. */
  async #prune(packageId: string, newest: number): Promise<void> {
    const directory = this.#packageDirectoryOf(packageId);
    for (const name of await readdir(directory)) {
      const isKept = /^\d+$/.test(name) && Number(name) >= newest - this.#config.versionsBeforeMax;
      if (!isKept) await this.#drop(join(directory, name));
    }
  }

  async #drop(path: string): Promise<void> {
    const isUnfinished = path.endsWith(unfinishedSuffix);
    const unfinished = isUnfinished ? path : `${path}${unfinishedSuffix}`;
    if (!isUnfinished) {
      await rm(unfinished, { recursive: true, force: true });
      // Out of sight first: a part of a version must not look like one.
      await rename(path, unfinished);
    }
    await rm(unfinished, { recursive: true, force: true });
  }

  #directoryOf(packageId: string, sourceVersion: number): string {
    if (!Number.isSafeInteger(sourceVersion)) throw new RangeError('This is no version');
    return join(this.#packageDirectoryOf(packageId), String(sourceVersion));
  }

  #packageDirectoryOf(packageId: string): string {
    if (parsePackageId(packageId) === undefined) throw new RangeError('This is no package ID');
    return join(this.#config.directory, packageId);
  }
}

/** Only what a thread can be given. */
function toPlace({ descriptor, manifestPath }: ManifestPlace): ManifestPlace {
  return { descriptor, manifestPath };
}
