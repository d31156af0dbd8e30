import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { ContentReader } from '../content-library/content-reader.ts';
import type { StagedContent } from '../content-library/data-library.ts';
import { toWriteFailure } from '../content-library/library-failure.ts';
import type { StagedFile } from '../content-library/library-tasks.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import type { PackageVersion } from '../domain/package.ts';
import { FreeRoom } from '../package-receiver/free-room.ts';
import type { StagedManifest } from './manifest-arrival.ts';
import {
  type ExpectedPackage,
  type PackageFileBeginning,
  readBeginning,
} from './package-file-beginning.ts';
import { invalidPackageFile } from './package-file-failure.ts';
import { headBytes } from './package-file-format.ts';
import type { PackageFileOptions } from './package-file-maker.ts';
import type { RebuildInput } from './rebuild-worker.ts';
import type { ArrivedDelta, UnpackInput, UnpackMessage, UnpackResult } from './unpack-worker.ts';

/** What unpacking needs. */
export interface PackageFileUnpackerNeeds {
  readonly library: Pick<
    ContentLibrary,
    | 'getPackage'
    | 'openContent'
    | 'adoptFiles'
    | 'areHeld'
    | 'readFiles'
    | 'discardDamaged'
    | 'stagingDirectoryOf'
    | 'layout'
    | 'threads'
  >;
  /** Room that stays free in the library's file system, in bytes. */
  readonly reserveBytes: number;
}

/** Which package file, and what it has to carry. */
export interface UnpackRequest {
  /** Its own hash was verified. */
  readonly path: string;
  /** Where it begins in that file; it goes on to its end. @default 0 */
  readonly startBytes?: number;
  readonly expected: ExpectedPackage;
  /** Where it is taken apart; nobody else uses it. @default what the library has for the package */
  readonly stagingDirectory?: string;
}

/** A version that is in the library but for its commit: `library.commitPackage` takes it as it is. */
export interface UnpackedPackage {
  readonly version: PackageVersion;
  readonly staged: readonly StagedContent[];
  /** How files of a content are made from older ones: for `keepDeltas`, after the commit. */
  readonly deltas: readonly { readonly contentId: string; readonly deltas: readonly Delta[] }[];
}

/**
 * Takes a package file apart, into the content library, in threads; memory does not grow with the
 * package. Whoever made it may lie: nothing is believed that is not checked, and the library takes no
 * file whose hash was not. One at a time for a package; what is staged of it from before is thrown
 * away, and so is all of it when this fails. Files that the library took stay while the staging
 * directory does; after a failure or a crash they are swept, or found again by the next try.
 *
 * The files of the base that the version shares are looked for, not hashed; the commit hashes those
 * that nobody vouches for, and says CONTENT_INCOMPLETE when one is damaged: a full file brings it.
 *
 * @throws PACKAGE_FILE_INVALID when it is not what it has to be
 * @throws DELTA_BASE_MISSING when files are missing, or damaged, that it builds on: to be asked for in
 *   full
 * @throws DISK_FULL, before anything is written when it can be known; AbortError
 */
export async function unpackPackageFile(
  needs: PackageFileUnpackerNeeds,
  request: UnpackRequest,
  options: PackageFileOptions = {},
): Promise<UnpackedPackage> {
  const { library } = needs;
  const { path, expected, startBytes = 0 } = request;
  const { packageId } = expected;
  const beginning = await readBeginning(path, expected, startBytes);
  await requireRoom(needs, beginning);
  const staging = request.stagingDirectory ?? library.stagingDirectoryOf(packageId);
  const readers: ContentReader[] = [];
  try {
    await rm(staging, { recursive: true, force: true });
    await mkdir(filesDirectoryIn(staging), { recursive: true });
    // Leased, so that what the file builds on stays.
    for (const { contentId } of (await library.getPackage(packageId))?.contents ?? []) {
      readers.push(await library.openContent(contentId));
    }
    return await new Unpacker(needs, { request, beginning, staging, readers, options }).run();
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw toWriteFailure(error, staging, 0);
  } finally {
    for (const reader of readers) await reader[Symbol.asyncDispose]();
  }
}

/**
 * Gives the deltas of an unpacked package to its contents, once it is committed, so that distribution
 * points can use them. Can be done twice.
 *
 * @throws CONTENT_NOT_HELD, FILE_NOT_HELD, DISK_FULL: it costs only the deltas
 */
export async function keepDeltas(
  library: Pick<ContentLibrary, 'addDeltas'>,
  { deltas }: UnpackedPackage,
): Promise<void> {
  for (const { contentId, deltas: own } of deltas) await library.addDeltas(contentId, own);
}

async function requireRoom(
  { library, reserveBytes }: PackageFileUnpackerNeeds,
  { head, version }: PackageFileBeginning,
): Promise<void> {
  const manifestBytes = version.contents.reduce(
    (sum, content) => sum + content.manifestBytes + content.signatureBytes,
    0,
  );
  const { fileBytes, deltaBytes, madeBytes } = head;
  await mkdir(library.layout.staging, { recursive: true });
  const room = new FreeRoom(library.layout.staging, reserveBytes);
  await room.require(manifestBytes + fileBytes + deltaBytes + madeBytes);
}

function filesDirectoryIn(staging: string): string {
  return join(staging, 'files');
}

interface UnpackWork {
  readonly request: UnpackRequest;
  readonly beginning: PackageFileBeginning;
  readonly staging: string;
  /** Of the version that is here. */
  readonly readers: readonly ContentReader[];
  readonly options: PackageFileOptions;
}

/** One package file on its way into the library. */
class Unpacker {
  readonly #library: PackageFileUnpackerNeeds['library'];
  readonly #work: UnpackWork;

  constructor({ library }: PackageFileUnpackerNeeds, work: UnpackWork) {
    this.#library = library;
    this.#work = work;
  }

  async run(): Promise<UnpackedPackage> {
    const { version } = this.#work.beginning;
    const contents = version.contents.map((descriptor): StagedManifest => {
      const stem = join(this.#work.staging, descriptor.contentId);
      return {
        descriptor,
        manifestPath: `${stem}.manifest`,
        signaturePath: `${stem}.signature`,
      };
    });
    const arrived = await this.#takeApart(contents);
    await this.#rebuild(arrived.map(({ delta }) => delta));
    await this.#requireAll(contents);
    const deltas = contents.map(({ descriptor: { contentId } }, index) => ({
      contentId,
      deltas: arrived.filter((one) => one.contentIndex === index).map(({ delta }) => delta),
    }));
    const staged = contents.map(({ descriptor: { contentId }, manifestPath, signaturePath }) => {
      return { contentId, manifestPath, signaturePath };
    });
    return { version, staged, deltas: deltas.filter((one) => one.deltas.length > 0) };
  }

  async #takeApart(contents: readonly StagedManifest[]): Promise<readonly ArrivedDelta[]> {
    const { request, beginning, staging, readers, options } = this.#work;
    const { signal, onProgress } = options;
    const input: UnpackInput = {
      path: request.path,
      head: beginning.head,
      startBytes: (request.startBytes ?? 0) + headBytes + beginning.head.bundleBytes,
      endBytes: beginning.endBytes,
      contents,
      baseContents: readers.map(({ descriptor, manifestPath }) => ({ descriptor, manifestPath })),
      fileLibrary: this.#library.layout.fileLibrary,
      filesDirectory: filesDirectoryIn(staging),
    };
    const program = new URL('./unpack-worker.js', import.meta.url);
    const { threads } = this.#library;
    const { deltas, missingBase } = await threads.run<UnpackResult, UnpackMessage>(program, input, {
      onMessage: async (message) => {
        if (message.type === 'staged') await this.#library.adoptFiles(message.files);
        else onProgress?.(message.progress);
      },
      signal,
    });
    if (!missingBase) return deltas;
    await this.#library.discardDamaged([missingBase], signal);
    throw this.#missing(1);
  }

  /** Makes files from deltas, after their bases were hashed: one that is damaged is as good as gone. */
  async #rebuild(deltas: readonly Delta[]): Promise<void> {
    if (deltas.length === 0) return;
    const { options, staging } = this.#work;
    const { signal } = options;
    const bases = new Map(deltas.map(({ baseHash, baseBytes }) => [baseHash, baseBytes]));
    const baseFiles = [...bases].map(([hash, sizeBytes]) => ({ hash, sizeBytes }));
    await this.#library.discardDamaged(baseFiles, signal);
    const { packageId } = this.#work.request.expected;
    const { fileLibrary } = this.#library.layout;
    const filesDirectory = filesDirectoryIn(staging);
    const input: RebuildInput = { packageId, fileLibrary, deltas, filesDirectory };
    const program = new URL('./rebuild-worker.js', import.meta.url);
    const onMessage = (files: readonly StagedFile[]) => this.#library.adoptFiles(files);
    const { threads } = this.#library;
    const missing = await threads.run<number, readonly StagedFile[]>(program, input, {
      onMessage,
      signal,
    });
    if (missing > 0) throw this.#missing(missing);
  }

  /** Every file of every content is in the library now, in its size. */
  async #requireAll(contents: readonly StagedManifest[]): Promise<void> {
    let missingFiles = 0;
    for (const { descriptor, manifestPath } of contents) {
      for await (const files of this.#readFiles(descriptor, manifestPath)) {
        const areHeld = await this.#library.areHeld(files);
        missingFiles += areHeld.filter((isHeld) => !isHeld).length;
      }
    }
    if (missingFiles > 0) throw this.#missing(missingFiles);
  }

  async *#readFiles(descriptor: StagedManifest['descriptor'], manifestPath: string) {
    try {
      yield* this.#library.readFiles(descriptor, manifestPath);
    } catch (error) {
      // It was right a moment ago: the disk has damaged it.
      if (!isErrorWithCode(error, 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH')) throw error;
      throw invalidPackageFile(this.#work.request.expected.packageId, error.message);
    }
  }

  #missing(missingFiles: number): WaybillError {
    const { packageId, baseVersion } = this.#work.request.expected;
    if (baseVersion > 0) {
      return new WaybillError({ code: 'DELTA_BASE_MISSING', packageId, baseVersion, missingFiles });
    }
    return invalidPackageFile(packageId, `${missingFiles} files are not in it`);
  }
}
