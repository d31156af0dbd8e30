// The program of the thread that makes a package file.
import { closeSync, constants, fstatSync, openSync, readSync, rmSync } from 'node:fs';
import { freeBytesOf, isSystemError, toWriteFailure } from '../content-library/library-failure.ts';
import { type FileProgress, TaskProgress } from '../content-library/task-progress.ts';
import { serveThreadTask } from '../content-library/thread-task.ts';
import { WaybillError } from '../domain/errors.ts';
import { BlockWriter } from './block-writer.ts';
import {
  type PackItem,
  type PackSource,
  packItems,
  usablePatches,
  withSoundManifestDeltas,
} from './pack-items.ts';
import { encodeHead, encodeRecord, type PackageFileHead } from './package-file-format.ts';
import { PartsHash } from './parts-hash.ts';
import { RecordSummer } from './record-sums.ts';
import { SortedHashes } from './sorted-hashes.ts';

/** What the thread is given. */
export interface PackInput extends Omit<PackSource, 'patches'> {
  readonly packageId: string;
  readonly sourceVersion: number;
  readonly baseVersion: number;
  readonly bundle: Uint8Array;
  /** The hashes of the files that the receiver has. */
  readonly baseHashesPath?: string;
  /** The patches of each step from the base to this version. */
  readonly patchPaths: readonly string[];
  readonly path: string;
  /** Bytes left free at the beginning of the file. */
  readonly startBytes: number;
  /** Room that stays free. */
  readonly reserveBytes: number;
  readonly level: number;
}

/** What it made. */
export interface PackedFile {
  readonly fileHash: string;
  readonly fileBytes: number;
  readonly head: PackageFileHead;
}

serveThreadTask<PackInput, PackedFile, FileProgress>(async (input, context) => {
  const progress = new TaskProgress((told) => context.send(told));
  const pack = new Pack(input, progress, () => context.throwIfAborted());
  try {
    const made = await pack.run();
    progress.tell();
    return made;
  } catch (error) {
    rmSync(input.path, { force: true });
    throw toWriteFailure(error, input.path, 0);
  }
});

/** One package file: everything is gone through twice, since its head says what will come. */
class Pack {
  readonly #input: PackInput;
  readonly #progress: TaskProgress;
  readonly #throwIfAborted: () => void;

  constructor(input: PackInput, progress: TaskProgress, throwIfAborted: () => void) {
    this.#input = input;
    this.#progress = progress;
    this.#throwIfAborted = throwIfAborted;
  }

  async run(): Promise<PackedFile> {
    const { path, startBytes, level, bundle, fileLibrary } = this.#input;
    using base = openBase(this.#input);
    const contents = await withSoundManifestDeltas(this.#input.contents);
    const patches = usablePatches(this.#input.patchPaths, base);
    const source = { fileLibrary, contents, patches };
    const head = await this.#headOf(source, base);
    this.#requireRoom(head);
    await using writer = new BlockWriter(path, level, startBytes);
    writer.writePlain(encodeHead(head));
    writer.writePlain(bundle);
    for await (const item of packItems(source, base)) await this.#write(writer, item);
    return { ...(await writer.finish()), head };
  }

  /** What does not compress at all takes as much room as it has bytes. */
  #requireRoom({ rawBytes, bundleBytes }: PackageFileHead): void {
    const { path, reserveBytes } = this.#input;
    const neededBytes = rawBytes + bundleBytes;
    const freeBytes = Math.max(0, freeBytesOf(path) - reserveBytes);
    if (freeBytes >= neededBytes) return;
    throw new WaybillError({ code: 'DISK_FULL', path, freeBytes, neededBytes });
  }

  async #headOf(source: PackSource, base: SortedHashes | undefined): Promise<PackageFileHead> {
    let rawBytes = 0;
    const summer = new RecordSummer();
    for await (const { record, sizeBytes } of packItems(source, base)) {
      this.#throwIfAborted();
      rawBytes += encodeRecord(record).length + sizeBytes;
      summer.add(record);
    }
    const { packageId, sourceVersion, baseVersion, bundle } = this.#input;
    const bundleBytes = bundle.length;
    return { packageId, sourceVersion, baseVersion, bundleBytes, rawBytes, ...summer.sums };
  }

  async #write(writer: BlockWriter, item: PackItem): Promise<void> {
    await writer.append(encodeRecord(item.record));
    if (item.bytes) await writer.append(item.bytes);
    else await this.#copyFile(writer, item);
    const { kind } = item.record;
    if (kind === 'file' || kind === 'delta' || kind === 'patch') this.#progress.onFile();
  }

  async #copyFile(writer: BlockWriter, item: PackItem): Promise<void> {
    const descriptor = openHeld(item);
    try {
      await this.#copy(writer, descriptor, item);
    } finally {
      closeSync(descriptor);
    }
  }

  async #copy(writer: BlockWriter, descriptor: number, item: PackItem): Promise<void> {
    const hash = item.hash === undefined ? undefined : new PartsHash(item.sizeBytes);
    for (let left = item.sizeBytes; left > 0; ) {
      this.#throwIfAborted();
      const into = writer.room.subarray(0, Math.min(left, readBytesMax));
      const count = readHeld(descriptor, into, item);
      hash?.update(into.subarray(0, count));
      left -= count;
      this.#progress.onBytes(count);
      await writer.commit(count);
    }
    const actualHash = hash?.digest();
    if (item.hash === undefined || actualHash === undefined || actualHash === item.hash) return;
    throw damaged(item, actualHash);
  }
}

/** @throws DELTA_BASE_MISSING when the version was forgotten meanwhile */
function openBase(input: PackInput): SortedHashes | undefined {
  const { packageId, baseVersion, baseHashesPath } = input;
  if (baseHashesPath === undefined) return undefined;
  try {
    return new SortedHashes(baseHashesPath);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
    throw new WaybillError({ code: 'DELTA_BASE_MISSING', packageId, baseVersion, missingFiles: 0 });
  }
}

/** Read and hashed at once. */
const readBytesMax = 1024 * 1024;

function openHeld(item: PackItem): number {
  const descriptor = openThere(item.path);
  if (descriptor !== undefined) {
    const stats = fstatSync(descriptor);
    if (stats.isFile() && stats.size === item.sizeBytes) return descriptor;
    closeSync(descriptor);
  }
  throw new WaybillError({ code: 'FILE_NOT_HELD', fileHash: item.hash ?? '' });
}

function openThere(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** A disk that cannot give the bytes back is as bad as one that gives others. */
function readHeld(descriptor: number, into: Uint8Array, item: PackItem): number {
  try {
    const count = readSync(descriptor, into);
    if (count > 0) return count;
  } catch (error) {
    if (!isSystemError(error, 'EIO')) throw error;
  }
  throw damaged(item, '');
}

function damaged({ hash = '' }: PackItem, actualHash: string): WaybillError {
  return new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash: hash, actualHash });
}
