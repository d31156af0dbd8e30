import { mkdir, realpath, rm, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import type { ContentReader } from '../../shared/content-library/content-reader.ts';
import { verifySignature } from '../../shared/content-library/data-library.ts';
import { isSystemError, toWriteFailure } from '../../shared/content-library/library-failure.ts';
import { filesOf } from '../../shared/content-library/manifest-reader.ts';
import type { FileProgress } from '../../shared/content-library/task-progress.ts';
import type { ContentDescriptor } from '../../shared/domain/content.ts';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { inodesAt, isInside, realPlaces, refuseOwnPlaces } from './own-places.ts';
import type { SnapshotInput, SnapshotMessage } from './source-snapshot-worker.ts';

/** A directory that becomes a content. */
export interface SnapshotSource {
  readonly directory: string;
  /** ID of the new content; its manifest carries it. */
  readonly contentId: string;
  /** The content this source became the last time. */
  readonly previous?: ContentDescriptor;
}

/** What a source became. */
export interface SnapshotContent {
  /** Of the new content; when unchanged, of the previous one, with its ID. */
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  readonly signaturePath: string;
  /** The source is as it was the last time, and the library holds all of it. */
  readonly unchanged: boolean;
}

/** What a snapshot needs of the library. */
export type SnapshotLibrary = Pick<
  ContentLibrary,
  'layout' | 'threads' | 'openContent' | 'adoptFiles' | 'areHeld' | 'stagingDirectoryOf'
>;

/** Where the site keeps its own files: nothing of them is ever read. */
export interface SourceGuard {
  readonly library: Pick<ContentLibrary, 'layout'>;
  readonly ownPlaces: readonly string[];
}

/** What to take a snapshot of. */
export interface SnapshotRequest extends SourceGuard {
  readonly library: SnapshotLibrary;
  readonly packageId: string;
  readonly sources: readonly SnapshotSource[];
  /** Files and bytes read so far, of all sources. */
  readonly onProgress?: (progress: FileProgress) => void;
  readonly signal?: AbortSignal;
}

/**
 * Reads source trees once each, into the content library. Nothing is visible before the contents
 * are committed. What is staged of the package from before is thrown away, and so is all of it
 * when the snapshot fails; files that were taken into the library are swept in time.
 *
 * @throws SOURCE_MISSING, SOURCE_UNREADABLE, SOURCE_CHANGED, SOURCE_FILE_TYPE, SOURCE_EMPTY,
 *   SOURCE_SYMLINK_LEAVES_TREE, SOURCE_NAME_REFUSED with the path
 * @throws DISK_FULL at the site
 * @throws CONTENT_INCOMPLETE when the library loses files of an unchanged source meanwhile
 */
export async function takeSnapshot(
  request: SnapshotRequest,
): Promise<{ contents: SnapshotContent[] }> {
  const { library, packageId, sources } = request;
  const staging = library.stagingDirectoryOf(packageId);
  const directories = [];
  for (const { directory } of sources) directories.push(await checkSource(directory, request));
  try {
    await rm(staging, { recursive: true, force: true });
    await mkdir(join(staging, 'files'), { recursive: true });
    const contents: SnapshotContent[] = [];
    const progress = new SummedProgress(request.onProgress);
    for (const [index, source] of sources.entries()) {
      const directory = directories[index] ?? source.directory;
      contents.push(await readSource(request, { ...source, directory }, progress.next()));
    }
    if (contents.every(({ unchanged }) => unchanged)) await rm(staging, { recursive: true });
    return { contents };
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw toWriteFailure(error, staging, 0);
  }
}

async function readSource(
  request: SnapshotRequest,
  source: SnapshotSource,
  onProgress: (progress: FileProgress) => void,
): Promise<SnapshotContent> {
  const { library, packageId, signal } = request;
  const { contentId, directory } = source;
  const staging = library.stagingDirectoryOf(packageId);
  const manifestPath = join(staging, `${contentId}.manifest`);
  const signaturePath = join(staging, `${contentId}.signature`);
  await using previous = await openPrevious(library, source.previous);
  const input: SnapshotInput = {
    ...{ directory, contentId, manifestPath, signaturePath },
    staging: join(staging, 'files'),
    fileLibrary: library.layout.fileLibrary,
    ownInodes: await ownInodesOf(request),
    previous: previous && {
      manifestPath: previous.manifestPath,
      descriptor: previous.descriptor,
    },
  };
  const program = new URL('./source-snapshot-worker.js', import.meta.url);
  const descriptor = await library.threads.run<ContentDescriptor, SnapshotMessage>(program, input, {
    onMessage: async (message) => {
      if (message.type === 'staged') await library.adoptFiles(message.files);
      else onProgress(message.progress);
    },
    signal,
  });
  const isSame = previous?.descriptor.contentHash === descriptor.contentHash;
  if (!isSame || !(await isSound(request, previous))) {
    return { descriptor, manifestPath, signaturePath, unchanged: false };
  }
  await rm(manifestPath);
  await rm(signaturePath);
  return {
    descriptor: previous.descriptor,
    manifestPath: previous.manifestPath,
    signaturePath: previous.signaturePath,
    unchanged: true,
  };
}

/** The previous content, leased; undefined when the library has it no more. */
export async function openPrevious(
  library: Pick<SnapshotLibrary, 'openContent'>,
  previous: ContentDescriptor | undefined,
): Promise<ContentReader | undefined> {
  if (!previous) return undefined;
  try {
    return await library.openContent(previous.contentId);
  } catch (error) {
    if (isErrorWithCode(error, 'CONTENT_NOT_HELD')) return undefined;
    throw error;
  }
}

/**
 * Whether the manifest and the signature the library has are what they were: what is damaged there
 * is not "unchanged", and is written anew as another version.
 *
 * @throws CONTENT_INCOMPLETE when a file is lost that was here, or came, when the source was read
 */
async function isSound(
  { library, packageId }: SnapshotRequest,
  content: ContentReader,
): Promise<boolean> {
  let missingFiles = 0;
  try {
    await verifySignature(content.signaturePath, content.descriptor);
    for await (const batch of content.entries()) {
      const areHeld = await library.areHeld(filesOf(batch));
      missingFiles += areHeld.filter((isHeld) => !isHeld).length;
    }
  } catch (error) {
    if (error instanceof WaybillError) return false;
    throw error;
  }
  if (missingFiles === 0) return true;
  throw new WaybillError({ code: 'CONTENT_INCOMPLETE', packageId, missingFiles });
}

/** What is never read, whatever way leads there. */
export function ownInodesOf({ library, ownPlaces }: SourceGuard): Promise<string[]> {
  return inodesAt([...ownPlaces, library.layout.directory]);
}

/**
 * The real path of a source directory. It was looked at when it was named as well; what it leads to may
 * have changed since, and does not need an administrator's leave.
 *
 * @throws SOURCE_MISSING, SOURCE_UNREADABLE; also when it is where the site keeps its own files, or around them
 */
export async function checkSource(path: string, site: SourceGuard): Promise<string> {
  const missing = new WaybillError({ code: 'SOURCE_MISSING', path });
  if (!isAbsolute(path)) throw missing;
  try {
    const directory = await realpath(path);
    if (!(await stat(directory)).isDirectory()) throw missing;
    const libraryDirectory = await realpath(site.library.layout.directory);
    refuseLibrary(path, directory, libraryDirectory);
    refuseOwnPlaces(path, directory, await realPlaces(site.ownPlaces));
    return directory;
  } catch (error) {
    if (error instanceof WaybillError) throw error;
    if (isSystemError(error, 'ENOENT', 'ENOTDIR')) throw missing;
    const reason = error instanceof Error ? error.message : String(error);
    throw new WaybillError({ code: 'SOURCE_UNREADABLE', path, reason }, { cause: error });
  }
}

function refuseLibrary(path: string, directory: string, libraryDirectory: string): void {
  const reason = isInside(libraryDirectory, directory)
    ? 'it is in the content library'
    : isInside(directory, libraryDirectory)
      ? 'the content library is in it'
      : undefined;
  if (reason !== undefined) throw new WaybillError({ code: 'SOURCE_UNREADABLE', path, reason });
}

/** Adds up the progress of one source after another. */
class SummedProgress {
  readonly #onProgress: ((progress: FileProgress) => void) | undefined;
  #done: FileProgress = { fileCount: 0, sizeBytes: 0 };
  #current: FileProgress = { fileCount: 0, sizeBytes: 0 };

  constructor(onProgress: ((progress: FileProgress) => void) | undefined) {
    this.#onProgress = onProgress;
  }

  /** The progress of the next source is told to this. */
  next(): (progress: FileProgress) => void {
    this.#done = this.#sum();
    this.#current = { fileCount: 0, sizeBytes: 0 };
    return (progress) => {
      this.#current = progress;
      this.#onProgress?.(this.#sum());
    };
  }

  #sum(): FileProgress {
    return {
      fileCount: this.#done.fileCount + this.#current.fileCount,
      sizeBytes: this.#done.sizeBytes + this.#current.sizeBytes,
    };
  }
}
