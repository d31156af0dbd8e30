import type { FileHandle } from 'node:fs/promises';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentDescriptor } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import { parsePackageId } from '../domain/package.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import type { Logger } from '../runtime/logger.ts';
import { SerialQueue } from '../runtime/serial-queue.ts';
import type { StateStore } from '../state-store/state-store.ts';
import type { ContentFile } from './content-files.ts';
import { ContentReader } from './content-reader.ts';
import { ContentRelease } from './content-release.ts';
import { DataLibrary } from './data-library.ts';
import type { ExtractOptions } from './extract-package.ts';
import { FileLibrary } from './file-library.ts';
import { FileVerification } from './file-verification.ts';
import { addDeltas, type DeltaStep, deltasOf } from './library-deltas.ts';
import { LibraryIndex } from './library-index.ts';
import { type LibraryLayout, toLibraryLayout } from './library-layout.ts';
import { LibraryReferences } from './library-references.ts';
import type { LibraryRooms } from './library-rooms.ts';
import { surveyLibrary } from './library-survey.ts';
import { LibrarySweep } from './library-sweep.ts';
import type { HeldFile, LibraryTasks, StagedFile } from './library-tasks.ts';
import { LibraryUpkeep } from './library-upkeep.ts';
import type { ManifestSource } from './manifest-source.ts';
import {
  type CommitStep,
  commitVersion,
  type PackageCommit,
  unverifiedFiles,
} from './package-commit.ts';
import { PackageExtraction } from './package-extraction.ts';
import { type LibraryPackage, PackageLibrary } from './package-library.ts';
import { Quarantine } from './quarantine.ts';
import { TaskThreads } from './task-threads.ts';
import { WorkerPool } from './worker-pool.ts';

/** What is true between two steps of a change; a crash can come at each. */
export type LibraryStep = CommitStep | DeltaStep | 'hidden' | 'released';

/** What the content library needs. */
export interface ContentLibraryComponents {
  readonly store: StateStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called between two steps of a change; tests break off there, as a crash would. */
  readonly onStep?: (step: LibraryStep) => void;
}

/** How the content library is tuned. */
export interface ContentLibraryConfig {
  /** Where the library is, or will be. One program at a time. */
  readonly directory: string;
  /** How long a file that nothing uses stays, in case it is wanted again. @default 24 h */
  readonly unreferencedGraceMs: number;
  /**
   * How long what is staged for a package stays after somebody last worked on it. As long as it
   * does, files that were taken in since that work began, and that no content has used yet, are not
   * swept. @default 7 days
   */
  readonly unfinishedGraceMs: number;
  /** Time between two sweeps. @default 1 h */
  readonly sweepIntervalMs: number;
}

/** Threads for work on many files; two keep a disk busy and leave processors to the streams. */
const workersMax = 2;

/**
 * All content on a machine: packages, their contents, and the bytes of their files, each once.
 *
 * Called by Distribution Manager (snapshot, commit), Package Transfer Manager (read) and the DP
 * provider (receive, commit). Writes its directory and the tables "library …" of the state store;
 * those can be lost and are rebuilt from the directory. Changes to packages pass one queue. A crash
 * leaves staged files, files nobody uses (swept), and contents of no package (let go at start).
 */
export class ContentLibrary implements Component {
  readonly layout: LibraryLayout;
  /** For long tasks on the library's files: snapshots, extractions. They end with the library. */
  readonly threads = new TaskThreads();
  /** What a validation does to this library. */
  readonly upkeep: LibraryUpkeep;
  readonly #needs: ContentLibraryComponents;
  readonly #pool: WorkerPool<LibraryTasks>;
  readonly #rooms: LibraryRooms;
  readonly #changes = new SerialQueue();
  readonly #verification: FileVerification;
  readonly #release: ContentRelease;
  readonly #index: LibraryIndex;
  readonly #extraction: PackageExtraction;
  readonly #sweep: LibrarySweep;
  readonly #stopping = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(needs: ContentLibraryComponents, config: ContentLibraryConfig) {
    this.#needs = needs;
    this.layout = toLibraryLayout(config.directory);
    this.#pool = new WorkerPool(new URL('./library-worker.js', import.meta.url), workersMax);
    const quarantine = new Quarantine(this.layout.quarantine, needs.clock);
    this.#rooms = {
      files: new FileLibrary(this.layout.fileLibrary, this.#pool, quarantine),
      data: new DataLibrary(this.layout.dataLibrary),
      packages: new PackageLibrary(this.layout.packageLibrary),
      references: new LibraryReferences(needs.store),
    };
    const [rooms, changes, pool] = [this.#rooms, this.#changes, this.#pool];
    const { clock, logger } = needs;
    const onReleased = () => this.#step('released');
    this.#release = new ContentRelease({ rooms, changes, clock, logger, onReleased });
    const { layout, threads } = this;
    const surveyed = { rooms, pool, layout, quarantine, clock, release: this.#release, ...config };
    const survey = () => surveyLibrary(surveyed);
    this.upkeep = new LibraryUpkeep({ rooms, layout, quarantine, changes, survey });
    const stopping = this.#stopping.signal;
    const { fileLibrary } = layout;
    const { files } = rooms;
    this.#verification = new FileVerification({ files, fileLibrary, threads, stopping, logger });
    const openContent = (contentId: string) => this.#openContent(contentId);
    const { packages } = rooms;
    const extracted = { packages, openContent, threads, fileLibrary, stopping };
    this.#extraction = new PackageExtraction(extracted);
    this.#index = new LibraryIndex({ rooms, changes, logger });
    const completeIndex = () => this.#index.complete();
    this.#sweep = new LibrarySweep(
      {
        rooms,
        release: this.#release,
        pool,
        changes,
        completeIndex,
        layout,
        quarantine,
        clock,
        logger,
      },
      config,
    );
  }

  /** Makes right what a crash left, rebuilds the index if it was lost, and begins to sweep. */
  async start(): Promise<void> {
    const { dataLibrary, fileLibrary, staging } = this.layout;
    for (const path of [dataLibrary, fileLibrary, staging]) await mkdir(path, { recursive: true });
    await this.upkeep.quarantine.load();
    for (const damaged of await this.#rooms.packages.load()) {
      this.#needs.logger.error(damaged, 'Package record was damaged and set aside');
    }
    await this.#changes.run(() => this.#release.letGoOfLeftovers());
    await this.#index.complete();
    this.#sweeping = this.#sweep.runUntil(this.#stopping.signal);
    this.#rooms.files.syncInherited(this.#stopping.signal).catch(() => {
      // The first commit does it again, and fails if it has to.
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#sweeping;
    await this.#changes.whenIdle();
    await this.threads.stop();
    await this.#pool.stop();
  }

  async getPackage(packageId: string): Promise<LibraryPackage | undefined> {
    return this.#rooms.packages.get(packageId);
  }

  /** All packages, by package ID, as they were when the call was made. */
  async *listPackages(): AsyncGenerator<LibraryPackage> {
    yield* this.#rooms.packages.list();
  }

  /**
   * Opens a content for reading. Nothing of it is let go until the reader is disposed of, even if
   * its package is updated or removed meanwhile.
   *
   * @throws CONTENT_NOT_HELD when no package here has it
   */
  async openContent(contentId: string): Promise<ContentReader> {
    return this.#openContent(contentId);
  }

  /**
   * Opens the bytes of a file. The caller closes it.
   *
   * @throws FILE_NOT_HELD when there is no regular file of that hash and size
   */
  openFile(file: HeldFile): Promise<FileHandle> {
    return this.#rooms.files.open(file);
  }

  /** Which of these files are on disk, with their size. */
  areHeld(files: readonly HeldFile[]): Promise<boolean[]> {
    return this.#rooms.files.areHeld(files);
  }

  /**
   * The files of a content whose manifest waits to be taken in, or is here, or in memory: in batches,
   * in its order.
   *
   * @throws CONTENT_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH when it is not the one the
   *   descriptor names; known only when all was read
   */
  readFiles(
    descriptor: ContentDescriptor,
    source: ManifestSource,
  ): AsyncGenerator<readonly ContentFile[]> {
    return this.#rooms.data.readFiles(descriptor, source);
  }

  /**
   * Where to put what arrives for a package; the caller makes the directory. While it is there, the
   * files that were taken in since it was made, and that no content has used yet, are not swept.
   */
  stagingDirectoryOf(packageId: string): string {
    if (parsePackageId(packageId) === undefined) throw new RangeError('This is no package ID');
    return join(this.layout.staging, packageId);
  }

  /**
   * Takes staged files in, in place of any of the same hash that are here. Their bytes must have
   * been verified; they are made durable, then renamed. Can be done twice.
   *
   * @throws DISK_FULL, with what is free
   * @throws FILE_NOT_HELD when a file is neither staged nor here
   */
  async adoptFiles(staged: readonly StagedFile[]): Promise<void> {
    // First, so that a sweep that looks at the new file does not take it for an old one.
    const unmark = () => this.#rooms.references.unmark(staged.map((file) => file.hash));
    await this.#rooms.files.adopt(staged, unmark);
  }

  /**
   * Makes a version of a package the visible one, in one step, after checking that all of it is
   * here and durable. Files that are here for others, and that nobody has hashed since this process
   * began, are hashed first, outside the queue; what is damaged is discarded, and missing then.
   * Then lets go of what only the version before used and of what is still staged for the package.
   * Can be done twice.
   *
   * @returns the hash computed over what is now served
   * @throws VERSION_DOWNGRADE, CONTENT_INCOMPLETE, CONTENT_NOT_HELD, MANIFEST_INVALID,
   *   CONTENT_HASH_MISMATCH, MESSAGE_INVALID, DISK_FULL: the version before stays visible
   */
  async commitPackage(commit: PackageCommit): Promise<{ packageHash: string }> {
    const { packageId, packageHash } = commit.version;
    let verified: { readonly before: LibraryPackage | undefined } | undefined;
    while (!(await this.#changes.run(() => this.#commit(commit, verified)))) {
      const before = this.#rooms.packages.get(packageId);
      for await (const files of unverifiedFiles(this.#rooms, commit)) {
        await this.#verification.discardDamaged(files);
      }
      verified = { before };
    }
    return { packageHash };
  }

  /**
   * How files of a content can be made from older ones; all of them are files of the library, and
   * stay as long as the content does. [] for a content that has none, or is not here.
   */
  deltasOf(contentId: string): Promise<readonly Delta[]> {
    return deltasOf(this.#rooms, contentId);
  }

  /**
   * Adds deltas to those of a content that a package here has. Can be done twice.
   *
   * @throws CONTENT_NOT_HELD when no package has it; FILE_NOT_HELD when the file of a delta was not
   *   taken in; DISK_FULL
   */
  addDeltas(contentId: string, deltas: readonly Delta[]): Promise<void> {
    const onStep = (step: DeltaStep) => this.#step(step);
    return this.#changes.run(() => addDeltas(this.#rooms, { contentId, deltas }, onStep));
  }

  /**
   * Hashes files, and sets aside those that are damaged; a right one that is taken in meanwhile
   * stays. Packages that use them find them missing: they have to come again.
   *
   * @returns the hashes of those that were taken away
   * @throws AbortError
   */
  discardDamaged(files: readonly HeldFile[], signal?: AbortSignal): Promise<string[]> {
    return this.#verification.discardDamaged(files, signal);
  }

  /** Removes a package and lets go of what only it used or staged. Fine when it is not here. */
  removePackage(packageId: string): Promise<void> {
    return this.#changes.run(async () => {
      const before = this.#rooms.packages.get(packageId);
      await this.#rooms.packages.remove(packageId);
      this.#step('hidden');
      await this.#release.letGo(before?.contents ?? [], []);
      await this.#endWork(packageId);
    });
  }

  /**
   * Writes the tree of a package: bytes, modes, times and links; every hash is checked on the way.
   * A package of several contents gets a directory for each, named as the content.
   *
   * @param outDirectory is made; when it exists, it must be empty
   * @throws PACKAGE_NOT_HELD
   * @throws REQUEST_INVALID when something is in the directory
   * @throws FILE_NOT_HELD, FILE_HASH_MISMATCH, MANIFEST_INVALID, CONTENT_HASH_MISMATCH when the
   *   library is damaged
   * @throws DISK_FULL
   */
  extractPackage(
    packageId: string,
    outDirectory: string,
    options: ExtractOptions = {},
  ): Promise<void> {
    return this.#extraction.extract(packageId, outDirectory, options);
  }

  /**
   * Sweeps once: deletes files that nothing has used for the grace period, contents of no package,
   * and what is staged for packages nobody works on. Happens by itself, too.
   */
  async sweep(): Promise<void> {
    await this.#sweep.sweep({ signal: this.#stopping.signal, keepStaged: false });
  }

  /**
   * @param verified the version that was visible when the files it does not share with it were hashed
   * @returns false when files are to be hashed first
   */
  async #commit(
    commit: PackageCommit,
    verified: { readonly before: LibraryPackage | undefined } | undefined,
  ): Promise<boolean> {
    const before = this.#rooms.packages.get(commit.version.packageId);
    await this.#rooms.files.syncInherited(this.#stopping.signal);
    const areVerified = verified !== undefined && verified.before === before;
    const onStep = (step: CommitStep) => this.#step(step);
    if (!(await commitVersion(this.#rooms, commit, { areVerified, onStep }))) return false;
    await this.#release.letGo(before?.contents ?? [], commit.version.contents);
    for (const content of commit.version.contents) this.#rooms.data.endWork(content);
    await this.#endWork(commit.version.packageId);
    return true;
  }

  /** What is still staged for the package was for this. */
  async #endWork(packageId: string): Promise<void> {
    await rm(this.stagingDirectoryOf(packageId), { recursive: true, force: true });
  }

  #openContent(contentId: string): ContentReader {
    const content = this.#rooms.packages.contentOf(contentId);
    if (!content) throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
    const { data } = this.#rooms;
    return new ContentReader({
      descriptor: content.descriptor,
      manifestPath: data.manifestPathOf(contentId),
      signaturePath: data.signaturePathOf(contentId),
      endLease: this.#release.lease(contentId),
    });
  }

  #step(step: LibraryStep): void {
    this.#needs.onStep?.(step);
  }
}
