import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { type ChangedFile, changedFiles } from '../../shared/content-library/changed-files.ts';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { ContentReader } from '../../shared/content-library/content-reader.ts';
import { filePathOf } from '../../shared/content-library/library-layout.ts';
import { makeDelta, mayHaveDelta } from '../../shared/delta/delta-maker.ts';
import type { ContentDescriptor, FileEntry } from '../../shared/domain/content.ts';
import { contentNameOf } from '../../shared/domain/content-location.ts';
import type { Delta } from '../../shared/domain/delta.ts';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import { allEnded } from '../../shared/runtime/all-ended.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { oneAtATime } from '../../shared/runtime/one-at-a-time.ts';

/** What making the deltas of a version needs. */
export interface VersionDeltasComponents {
  readonly library: Pick<
    ContentLibrary,
    | 'openContent'
    | 'deltasOf'
    | 'addDeltas'
    | 'adoptFiles'
    | 'stagingDirectoryOf'
    | 'layout'
    | 'threads'
  >;
  readonly logger: Logger;
}

/** How much is done for one version at most. */
export interface VersionDeltasConfig {
  /** Files that get a delta, of all contents together. @default 1_000 */
  readonly filesMax: number;
  /** Deltas made at once. @default 2 */
  readonly makersMax: number;
  /** Room that stays free in the library's file system, in bytes. @default 1 GiB */
  readonly reserveBytes: number;
}

/** As documented at each. */
export const defaultVersionDeltasConfig: VersionDeltasConfig = {
  filesMax: 1_000,
  makersMax: 2,
  reserveBytes: 1024 ** 3,
};

/**
 * Makes the deltas of a new version: for each file that took the place of another one, how to make
 * it from that. They are advice, made once here for all who will get the version (PKG-5, PULL-6); a
 * failure costs only them. A crash leaves the version without some of them.
 */
export class VersionDeltas {
  readonly #needs: VersionDeltasComponents;
  readonly #config: VersionDeltasConfig;

  constructor(needs: VersionDeltasComponents, config = defaultVersionDeltasConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  /** Keeps the contents of a version, or of none, while the next one takes its place. */
  async keep(before: PackageVersion | undefined): Promise<KeptVersion> {
    const readers: ContentReader[] = [];
    for (const { contentId } of before?.contents ?? []) {
      // One that is gone already is no base any more.
      const reader = await this.#needs.library.openContent(contentId).catch(unlessNotHeld);
      if (reader) readers.push(reader);
    }
    return new KeptVersion(this.#needs, this.#config, readers);
  }
}

/** The version before, kept as long as deltas are made against it. */
export class KeptVersion implements AsyncDisposable {
  readonly #needs: VersionDeltasComponents;
  readonly #config: VersionDeltasConfig;
  readonly #before: readonly ContentReader[];
  #filesLeft: number;

  constructor(
    needs: VersionDeltasComponents,
    config: VersionDeltasConfig,
    before: readonly ContentReader[],
  ) {
    this.#needs = needs;
    this.#config = config;
    this.#before = before;
    this.#filesLeft = config.filesMax;
  }

  /** Makes the deltas of a version that is committed. @throws AbortError, and nothing else */
  async makeDeltas(version: PackageVersion, signal: AbortSignal): Promise<void> {
    const { packageId } = version;
    for (const { contentId } of version.contents) {
      const before = this.#before.find(({ descriptor }) => isOlder(descriptor, contentId));
      if (!before) continue;
      try {
        await this.#makeDeltasOf({ packageId, contentId, before }, signal);
      } catch (err) {
        if (isAbortError(err)) throw err;
        this.#needs.logger.warn({ packageId, contentId, err }, 'Deltas could not be made');
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const reader of this.#before) await reader[Symbol.asyncDispose]();
  }

  async #makeDeltasOf(
    of: { packageId: string; contentId: string; before: ContentReader },
    signal: AbortSignal,
  ): Promise<void> {
    const { library, logger } = this.#needs;
    const { packageId, contentId } = of;
    const staging = library.stagingDirectoryOf(packageId);
    await using after = await library.openContent(contentId);
    const known = new Set((await library.deltasOf(contentId)).map(({ fileHash }) => fileHash));
    const changed = this.#changedFiles(of.before, after, known);
    const deltas: Delta[] = [];
    try {
      await mkdir(staging, { recursive: true });
      const next = oneAtATime(changed);
      const maker = async () => {
        for (let one = await next(); one; one = await next()) {
          const delta = await this.#make(one, staging, signal);
          if (delta) deltas.push(delta);
        }
      };
      await allEnded(Array.from({ length: this.#config.makersMax }, maker));
      await library.addDeltas(contentId, deltas);
    } finally {
      await changed.return();
      // Whatever was staged for the package was for the version that is committed.
      await rm(staging, { recursive: true, force: true });
    }
    if (deltas.length > 0)
      logger.info({ packageId, contentId, deltaCount: deltas.length }, 'Made deltas');
  }

  async *#changedFiles(
    before: ContentReader,
    after: ContentReader,
    known: ReadonlySet<string>,
  ): AsyncGenerator<ChangedFile, void> {
    const seen = new Set(known);
    for await (const changed of changedFiles(before, after)) {
      const { hash } = changed.file;
      if (seen.has(hash) || !mayHaveDelta(sizesOf(changed))) continue;
      if (this.#filesLeft-- <= 0) return;
      seen.add(hash);
      yield changed;
    }
  }

  /** @returns nothing when no delta is worth it, or there is no room, or it fails */
  async #make(
    { base, file }: ChangedFile,
    staging: string,
    signal: AbortSignal,
  ): Promise<Delta | undefined> {
    const { library, logger } = this.#needs;
    const { fileLibrary } = library.layout;
    const deltaPath = join(staging, `${file.hash}.delta`);
    try {
      if (!(await this.#hasRoomFor(file))) return undefined;
      const request = {
        ...{ baseHash: base.hash, baseBytes: base.sizeBytes },
        ...{ fileHash: file.hash, fileBytes: file.sizeBytes },
        ...{
          basePath: filePathOf(fileLibrary, base.hash),
          filePath: filePathOf(fileLibrary, file.hash),
        },
        deltaPath,
      };
      const delta = await makeDelta(library.threads, request, { signal });
      if (!delta) return undefined;
      const { deltaHash: hash, deltaBytes: sizeBytes } = delta;
      await library.adoptFiles([{ path: deltaPath, hash, sizeBytes }]);
      return delta;
    } catch (err) {
      if (isAbortError(err)) throw err;
      logger.warn({ fileHash: file.hash, err }, 'Delta could not be made');
      return undefined;
    }
  }

  /** A delta is at most as large as its file; it must not take the room content needs. */
  async #hasRoomFor({ sizeBytes }: FileEntry): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#needs.library.layout.fileLibrary);
    return bavail * bsize - this.#config.reserveBytes >= sizeBytes;
  }
}

function unlessNotHeld(error: unknown): undefined {
  if (!isErrorWithCode(error, 'CONTENT_NOT_HELD')) throw error;
}

function sizesOf({ base, file }: ChangedFile) {
  return { baseBytes: base.sizeBytes, fileBytes: file.sizeBytes };
}

/** Whether this is the same source in another version: a content is named after both. */
function isOlder(descriptor: ContentDescriptor, contentId: string): boolean {
  const { contentId: beforeId } = descriptor;
  return beforeId !== contentId && contentNameOf(beforeId) === contentNameOf(contentId);
}
