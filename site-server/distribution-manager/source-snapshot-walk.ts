import { isUtf8 } from 'node:buffer';
import {
  type BigIntStats,
  fstatSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  realpathSync,
} from 'node:fs';
import {
  DirectoryCursor,
  DirectoryMovedError,
} from '../../shared/content-library/directory-cursor.ts';
import { depthMax } from '../../shared/content-library/manifest-format.ts';
import type { ManifestWriter } from '../../shared/content-library/manifest-writer.ts';
import type { PreviousEntries } from '../../shared/content-library/previous-entries.ts';
import type { TaskProgress } from '../../shared/content-library/task-progress.ts';
import {
  type ContentEntry,
  type DirectoryEntry,
  hasPieces,
  refusalOfName,
  refusalOfTarget,
  type SymlinkEntry,
} from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { OwnInodes } from './own-places.ts';
import { SourceFileReader } from './source-snapshot-file.ts';
import { SourceChangedError, toShownPath, toSourceFailure } from './source-snapshot-path.ts';
import type { FileStaging } from './source-snapshot-staging.ts';

/** What a walk works with. */
export interface SourceWalkParts {
  /** The root of the source, a real path. */
  readonly directory: string;
  readonly manifest: ManifestWriter;
  readonly previous: PreviousEntries;
  readonly staging: FileStaging;
  /** What is refused wherever it turns up. */
  readonly own: OwnInodes;
  readonly progress: TaskProgress;
  readonly throwIfAborted: () => void;
}

/** A directory the walk is in. */
interface OpenDirectory {
  readonly stats: BigIntStats;
  /** What is still to be read in it, last one first. */
  readonly names: Buffer[];
}

/**
 * Walks a source depth-first, names ascending, and writes its entries to a manifest. Refuses what
 * no receiver may be asked to create (PKG-3). Blocks.
 */
export class SourceWalk implements Disposable {
  readonly #parts: SourceWalkParts;
  readonly #files: SourceFileReader;
  readonly #cursor: DirectoryCursor;
  readonly #names: string[] = [];
  readonly #open: OpenDirectory[] = [];

  constructor(parts: SourceWalkParts) {
    this.#parts = parts;
    this.#files = new SourceFileReader({
      ...{ staging: parts.staging, own: parts.own },
      onBytes: (bytes) => {
        parts.throwIfAborted();
        parts.progress.onBytes(bytes);
      },
    });
    this.#cursor = this.#guard('', () => new DirectoryCursor(parts.directory));
  }

  /**
   * @throws SourceChangedError when the tree is not what it was a moment ago
   * @throws the SOURCE_ codes, DISK_FULL, AbortError
   */
  async readAll(): Promise<void> {
    this.#requireSamePlace();
    this.#list();
    for (let open = this.#open.at(-1); open; open = this.#open.at(-1)) {
      this.#parts.throwIfAborted();
      const name = open.names.pop();
      if (name) await this.#read(name);
      else this.#leave();
    }
  }

  [Symbol.dispose](): void {
    this.#cursor[Symbol.dispose]();
  }

  /** Any part of the path may have become a link between the look at it and its opening. */
  #requireSamePlace(): void {
    const { directory } = this.#parts;
    const opened = this.#guard('', () => realpathSync.native(this.#cursor.here));
    if (opened !== directory) throw new SourceChangedError(directory, { isFinal: false });
  }

  async #read(rawName: Buffer): Promise<void> {
    const name = rawName.toString('utf8');
    this.#refuseName(rawName, name);
    const stats = this.#guard(name, () => lstatSync(this.#cursor.pathOf(name), { bigint: true }));
    if (stats.isDirectory()) await this.#enter(name);
    else if (stats.isFile()) await this.#readFile(name, stats);
    else if (stats.isSymbolicLink()) this.#readLink(name, stats);
    else {
      const path = this.#shown(name);
      throw new WaybillError({ code: 'SOURCE_FILE_TYPE', path, fileType: fileTypeOf(stats) });
    }
  }

  async #enter(name: string): Promise<void> {
    this.#guard(name, () => this.#cursor.enter(name));
    const stats = fstatSync(this.#cursor.descriptor, { bigint: true });
    const depth = this.#names.length;
    this.#add({ type: 'directory', depth, name, ...attributesOf(stats) });
    this.#names.push(name);
    await this.#parts.previous.enter(name);
    this.#list();
  }

  #list(): void {
    const stats = fstatSync(this.#cursor.descriptor, { bigint: true });
    this.#parts.own.refuse(stats, this.#shown());
    const names = this.#guard('', () => readdirSync(this.#cursor.here, { encoding: 'buffer' }));
    // The order of a manifest, turned round: the next one is the last.
    names.sort((a, b) => Buffer.compare(b, a));
    this.#open.push({ stats, names });
  }

  #leave(): void {
    const before = this.#open.pop()?.stats;
    const after = fstatSync(this.#cursor.descriptor, { bigint: true });
    if (before?.mtimeNs !== after.mtimeNs || before.ctimeNs !== after.ctimeNs) {
      throw new SourceChangedError(this.#shown(), { isFinal: false });
    }
    if (this.#open.length === 0) return;
    this.#guard('', () => this.#cursor.leave());
    this.#names.pop();
    this.#parts.previous.leave();
  }

  async #readFile(name: string, stats: BigIntStats): Promise<void> {
    const previous = hasPieces(Number(stats.size))
      ? await this.#parts.previous.fileOf(name)
      : undefined;
    const file = this.#files.read({
      path: this.#cursor.pathOf(name),
      shownPath: this.#shown(name),
      previousHash: (sizeBytes) => (previous?.sizeBytes === sizeBytes ? previous.hash : undefined),
    });
    const sizeBytes = Number(file.stats.size);
    const attributes = attributesOf(file.stats);
    const depth = this.#names.length;
    const entry = { type: 'file', depth, name, sizeBytes, ...attributes, hash: file.hash } as const;
    this.#refuseEntry(entry);
    this.#parts.manifest.addFile(entry, file.pieceHashes);
    if (!hasPieces(sizeBytes)) this.#parts.progress.onBytes(sizeBytes);
    this.#parts.progress.onFile();
  }

  #readLink(name: string, stats: BigIntStats): void {
    const path = this.#cursor.pathOf(name);
    const rawTarget = this.#guard(name, () => readlinkSync(path, { encoding: 'buffer' }));
    const target = rawTarget.toString('utf8');
    const depth = this.#names.length;
    const refusal = isUtf8(rawTarget)
      ? refusalOfTarget(depth, target)
      : 'the target is not valid UTF-8';
    if (refusal !== undefined) this.#refuseTarget(name, target, refusal);
    this.#refuseRealTarget(name, target);
    this.#add({ type: 'symlink', depth, name, target, mtimeNs: String(stats.mtimeNs) });
  }

  #add(entry: DirectoryEntry | SymlinkEntry): void {
    this.#refuseEntry(entry);
    this.#parts.manifest.add(entry);
  }

  #refuseEntry(entry: ContentEntry): void {
    const refusal = this.#parts.manifest.refusalOfNext(entry);
    if (refusal !== undefined) this.#refuseWith(entry.name, refusal);
  }

  #refuseName(rawName: Buffer, name: string): void {
    if (!isUtf8(rawName)) this.#refuseWith(name, 'the name is not valid UTF-8');
    const refusal = refusalOfName(name);
    if (refusal !== undefined) this.#refuseWith(name, refusal);
    if (this.#names.length > depthMax) this.#refuseWith(name, `it is over ${depthMax} levels deep`);
  }

  #refuseWith(name: string, reason: string): never {
    throw new WaybillError({ code: 'SOURCE_NAME_REFUSED', path: this.#shown(name), reason });
  }

  #refuseTarget(name: string, target: string, reason: string): never {
    // A target that would be fine further down, or is absolute, leads out of the tree.
    const leaves = target.startsWith('/') || refusalOfTarget(depthMax, target) === undefined;
    if (!leaves) this.#refuseWith(name, reason);
    throw new WaybillError({
      code: 'SOURCE_SYMLINK_LEAVES_TREE',
      path: this.#shown(name),
      target: toShownPath(target, []),
    });
  }

  /** Belt and braces: where the target exists, it has to be in the tree as the system sees it. */
  #refuseRealTarget(name: string, target: string): void {
    let real: string;
    try {
      real = realpathSync.native(this.#cursor.pathOf(name));
    } catch {
      return; // It leads nowhere, in a circle, or deeper than paths may be long.
    }
    const { directory } = this.#parts;
    if (real === directory || real.startsWith(directory === '/' ? '/' : `${directory}/`)) return;
    const path = this.#shown(name);
    throw new WaybillError({ code: 'SOURCE_SYMLINK_LEAVES_TREE', path, target });
  }

  #guard<T>(name: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      const path = name === '' ? this.#shown() : this.#shown(name);
      if (error instanceof DirectoryMovedError) {
        throw new SourceChangedError(path, { isFinal: false });
      }
      throw toSourceFailure(error, path);
    }
  }

  #shown(...names: string[]): string {
    return toShownPath(this.#parts.directory, [...this.#names, ...names]);
  }
}

function attributesOf(stats: BigIntStats): { mode: number; mtimeNs: string } {
  return { mode: Number(stats.mode) & 0o7777, mtimeNs: String(stats.mtimeNs) };
}

function fileTypeOf(stats: BigIntStats): string {
  if (stats.isFIFO()) return 'named pipe';
  if (stats.isSocket()) return 'socket';
  return stats.isBlockDevice() ? 'block device' : 'character device';
}
