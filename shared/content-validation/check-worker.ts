/**
 * Runs in a worker thread of low priority: reads files of a library, past the page cache where the file
 * system lets it, and compares them with what their names promise; no more bytes at a time than it is
 * told. Called by FileChecks; changes nothing but the mode of a file.
 */
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { setPriority } from 'node:os';
import { workerData } from 'node:worker_threads';
import { alignedMemory, alignmentBytes } from '../content-library/aligned-memory.ts';
import { ContentHash } from '../content-library/content-hash.ts';
import { isDiskDamage, isSystemError } from '../content-library/library-failure.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { type HeldFile, identityOf } from '../content-library/library-tasks.ts';
import { pieceBytes } from '../domain/content.ts';
import { serveThread } from '../runtime/thread-service.ts';

/** What the thread is told: to read on. */
export interface CheckRequest {
  /** What was begun before is forgotten. */
  readonly isNew: boolean;
  /** Files that wait behind those that wait already. */
  readonly files: readonly HeldFile[];
  /** A multiple of 4 KiB. */
  readonly bytesMax: number;
}

/** What it has done: files it came to the end of, in their order. */
export interface CheckResult {
  readonly readBytes: number;
  readonly checked: readonly CheckedFile[];
}

export interface CheckedFile {
  readonly hash: string;
  readonly sizeBytes: number;
  readonly verdict: Verdict;
}

export type Verdict =
  | { readonly kind: 'right' }
  | { readonly kind: 'missing' }
  /** Its bytes are right; its mode was not, and is now. */
  | { readonly kind: 'mended'; readonly detail: string }
  | { readonly kind: 'damaged'; readonly detail: string; readonly identity: string };

/** Files in one answer, so that whoever gave up is heard soon. */
const checkedMax = 500;
/** What a file of the library has at least, and what it must not have: special bits, others' writing. */
const modeBitsNeeded = 0o400n;
const modeBitsRefused = 0o7002n;
const plainMode = 0o644;

const { fileLibraryDirectory } = workerData as { fileLibraryDirectory: string };
const buffer = alignedMemory(pieceBytes);
const waiting: HeldFile[] = [];
let current: FileCheck | undefined;

/** A file that is being read. */
class FileCheck {
  readonly file: HeldFile;
  readonly #path: string;
  readonly #stats: BigIntStats;
  readonly #modeDetail: string | undefined;
  readonly #hash = new ContentHash();
  #descriptor: number | undefined;
  #position = 0;
  #isDirect: boolean;

  private constructor(file: HeldFile, path: string, stats: BigIntStats, modeDetail?: string) {
    this.file = file;
    this.#path = path;
    this.#stats = stats;
    this.#modeDetail = modeDetail;
    this.#isDirect = constants.O_DIRECT !== undefined;
  }

  /** Begins with a file; says at once what is wrong with it when no byte has to be read for that. */
  static begin(file: HeldFile): FileCheck | Verdict {
    const path = filePathOf(fileLibraryDirectory, file.hash);
    let stats: BigIntStats | undefined;
    try {
      stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    } catch (error) {
      if (isSystemError(error, 'ENOTDIR')) return { kind: 'missing' };
      if (!isDiskDamage(error)) throw error;
      return { kind: 'damaged', detail: unreadable(error), identity: '' };
    }
    if (!stats) return { kind: 'missing' };
    const wrong = wrongForm(stats, file);
    if (wrong) return { kind: 'damaged', detail: wrong, identity: identityOf(stats) };
    if (isPlain(stats)) return new FileCheck(file, path, stats);
    const detail = `its mode was ${(stats.mode & 0o7777n).toString(8).padStart(4, '0')}`;
    try {
      chmodSync(path, plainMode);
      return new FileCheck(file, path, lstatSync(path, { bigint: true }), detail);
    } catch {
      return { kind: 'damaged', detail, identity: identityOf(stats) };
    }
  }

  /** Reads on. @returns how much was read, and the verdict once it is known */
  read(bytesMax: number): { readonly readBytes: number; readonly verdict?: Verdict } {
    const left = this.file.sizeBytes - this.#position;
    // One more byte is asked for than should be there: that is how it is known that there is none.
    const wanted = Math.min(roundedUp(left + 1), bytesMax, pieceBytes);
    let count: number;
    try {
      count = this.#readOnce(wanted);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return { readBytes: 0, verdict: { kind: 'missing' } };
      if (!isDiskDamage(error)) throw error;
      return { readBytes: 0, verdict: this.#damaged(unreadable(error)) };
    }
    this.#hash.update(buffer.subarray(0, count));
    this.#position += count;
    // Another file may have taken its place, and this one have been cut since.
    if (count === 0 && left > 0) return { readBytes: 0, verdict: this.#damaged('it ends early') };
    if (this.#position < this.file.sizeBytes) return { readBytes: count };
    return { readBytes: count, verdict: this.#atEnd() };
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #atEnd(): Verdict {
    const isRight = this.#hash.digest() === this.file.hash;
    if (!isRight) return this.#damaged('its bytes are not those of its hash');
    const detail = this.#modeDetail;
    return detail === undefined ? { kind: 'right' } : { kind: 'mended', detail };
  }

  #damaged(detail: string): Verdict {
    return { kind: 'damaged', detail, identity: identityOf(this.#stats) };
  }

  #readOnce(bytes: number): number {
    if (this.file.sizeBytes === 0) return 0;
    try {
      this.#descriptor ??= this.#open();
      return readSync(this.#descriptor, buffer, 0, bytes, this.#position);
    } catch (error) {
      // Some file systems say so when the file is opened, others at a read.
      if (!this.#isDirect || !isSystemError(error, 'EINVAL', 'EOPNOTSUPP')) throw error;
      this.#isDirect = false;
      this.close();
      return this.#readOnce(bytes);
    }
  }

  #open(): number {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    return openSync(this.#path, this.#isDirect ? flags | constants.O_DIRECT : flags);
  }
}

function wrongForm(stats: BigIntStats, { sizeBytes }: HeldFile): string | undefined {
  if (stats.isSymbolicLink()) return 'it is a symbolic link';
  if (stats.isDirectory()) return 'it is a directory';
  if (!stats.isFile()) return 'it is no regular file';
  const found = Number(stats.size);
  if (found < sizeBytes) return `it is cut: ${found} of ${sizeBytes} bytes`;
  return found > sizeBytes ? `it is longer: ${found} instead of ${sizeBytes} bytes` : undefined;
}

function isPlain({ mode }: BigIntStats): boolean {
  return (mode & modeBitsNeeded) !== 0n && (mode & modeBitsRefused) === 0n;
}

function unreadable({ code }: NodeJS.ErrnoException): string {
  return `it cannot be read: ${code}`;
}

function roundedUp(bytes: number): number {
  return Math.ceil(bytes / alignmentBytes) * alignmentBytes;
}

function check({ isNew, files, bytesMax }: CheckRequest): CheckResult {
  if (isNew) forgetAll();
  waiting.push(...files);
  const checked: CheckedFile[] = [];
  let readBytes = 0;
  while (readBytes < bytesMax && checked.length < checkedMax) {
    const next = current ?? nextCheck(checked);
    if (next === undefined) break;
    if (next === 'said') continue;
    current = next;
    const step = next.read(bytesMax - (readBytes - (readBytes % alignmentBytes)));
    readBytes += step.readBytes;
    if (!step.verdict) continue;
    end(next, step.verdict, checked);
  }
  return { readBytes, checked };
}

function nextCheck(checked: CheckedFile[]): FileCheck | 'said' | undefined {
  const file = waiting.shift();
  if (!file) return undefined;
  const begun = FileCheck.begin(file);
  if (begun instanceof FileCheck) return begun;
  checked.push({ ...file, verdict: begun });
  return 'said';
}

function end(ended: FileCheck, verdict: Verdict, checked: CheckedFile[]): void {
  ended.close();
  current = undefined;
  checked.push({ ...ended.file, verdict });
}

function forgetAll(): void {
  waiting.length = 0;
  current?.close();
  current = undefined;
}

/** This thread alone gives way to all others; elsewhere than on Linux it goes on like them. */
function giveWay(): void {
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    setPriority(threadId, 19);
  } catch {
    // It is slower for others then, not wrong.
  }
}

giveWay();
serveThread(check);
