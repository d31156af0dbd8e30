import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasPieces, parseHash, pieceCountOf, pieceLengthOf } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import type { ReceiveRequest, ReceiveResult } from './receive-request.ts';
import { ReceiveWorkerClient } from './receive-worker-client.ts';

/** A file a package wants: identity, length, and for several pieces their hashes. */
export interface WantedFile {
  readonly hash: string;
  readonly sizeBytes: number;
  /** 32 bytes a piece; empty for a file of one piece. */
  readonly pieceHashes: Uint8Array;
}

/** A file that is whole and verified in the incoming folder, not yet in the library. */
export interface StagedFile {
  readonly path: string;
  readonly hash: string;
  readonly sizeBytes: number;
}

interface ArrivingFile {
  /** The package that last asked for it. */
  readonly packageId: string;
  readonly sizeBytes: number;
  readonly pieces: PieceSet;
}

/**
 * The files that are arriving at this DP, whichever package wants them: each is kept once. Called
 * by the DP provider; writes `incoming/<hash>` through the receive worker. A crash leaves the
 * files; nothing in them is believed until it is verified again.
 */
export class IncomingFiles {
  readonly #directory: string;
  readonly #worker: ReceiveWorkerClient;
  /** Names found at start, of unknown worth. */
  readonly #unverified = new Set<string>();
  readonly #arriving = new Map<string, ArrivingFile>();
  readonly #staged = new Map<string, StagedFile>();
  #stagedBytes = 0;
  /** Two inspections must not open one file twice. */
  readonly #preparations = new SerialQueue();

  constructor(directory: string) {
    this.#directory = directory;
    this.#worker = new ReceiveWorkerClient(directory);
  }

  async start(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    for (const name of await readdir(this.#directory)) {
      if (parseHash(name)) this.#unverified.add(name);
    }
  }

  async stop(): Promise<void> {
    await this.#worker.stop();
  }

  /** Whole files waiting for adoption: how many, how long. */
  get stagedCount(): number {
    return this.#staged.size;
  }

  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  isStaged(hash: string): boolean {
    return this.#staged.has(hash);
  }

  /**
   * Makes ready to receive these files and says what is already here.
   * @returns for each file the pieces held, or 'staged' when it is whole
   */
  async prepare(packageId: string, files: readonly WantedFile[]): Promise<(PieceSet | 'staged')[]> {
    return this.#preparations.run(async () => {
      await this.#verifySmall(files.filter((file) => this.#isUnverifiedSmall(file)));
      const answers: (PieceSet | 'staged')[] = [];
      for (const file of files) {
        const isStaged = this.#staged.has(file.hash);
        answers.push(isStaged ? 'staged' : await this.#piecesOf(packageId, file));
      }
      return answers;
    });
  }

  /** @throws FILE_NOT_WANTED, MESSAGE_INVALID, FILE_HASH_MISMATCH, DISK_FULL */
  async receivePiece(piece: {
    hash: string;
    pieceIndex: number;
    bytes: Uint8Array;
  }): Promise<void> {
    const { hash, pieceIndex, bytes } = piece;
    if (this.#staged.has(hash)) return;
    const file = this.#arriving.get(hash);
    if (!file) throw new WaybillError({ code: 'FILE_NOT_WANTED', fileHash: hash });
    checkPiece(file.sizeBytes, pieceIndex, bytes.length);
    if (file.pieces.has(pieceIndex)) return;
    const owned = ownBytes(bytes);
    const result = await this.#asked({ kind: 'write-piece', hash, pieceIndex, bytes: owned }, [
      owned,
    ]);
    if (result.outcome === 'not-open') {
      // The worker was lost; the sender inspects again and the file is opened anew.
      this.#arriving.delete(hash);
      throw new WaybillError({ code: 'FILE_NOT_WANTED', fileHash: hash });
    }
    file.pieces.add(pieceIndex);
    if (result.outcome === 'written' && result.complete) this.#stage(hash, file.sizeBytes);
  }

  /** @throws FILE_HASH_MISMATCH, DISK_FULL */
  async receiveSmall(files: readonly { hash: string; bytes: Uint8Array }[]): Promise<void> {
    const fresh = files.filter(({ hash }) => !this.#staged.has(hash));
    if (fresh.length === 0) return;
    // One buffer for all: views of one message share its memory, which can be handed over once.
    const transfer = new Set(fresh.map(({ bytes }) => bytes).filter(ownsItsMemory));
    // Lengths first: a buffer that was handed over is empty here.
    const sizes = fresh.map(({ hash, bytes }) => ({ hash, sizeBytes: bytes.length }));
    await this.#asked({ kind: 'write-small', files: fresh }, [...transfer]);
    for (const { hash, sizeBytes } of sizes) this.#stage(hash, sizeBytes);
  }

  /** Takes all staged files over, to be adopted by the library; see `adopted`. */
  stagedFiles(): StagedFile[] {
    return [...this.#staged.values()];
  }

  /** These files are in the library now and no longer in the incoming folder. */
  adopted(files: readonly StagedFile[]): void {
    for (const { hash, sizeBytes } of files) {
      if (this.#staged.delete(hash)) this.#stagedBytes -= sizeBytes;
    }
  }

  /** Drops the unfinished files that only this package asked for. */
  async discardArriving(packageId: string): Promise<void> {
    for (const [hash, file] of this.#arriving) {
      if (file.packageId !== packageId) continue;
      this.#arriving.delete(hash);
      await this.#worker.ask({ kind: 'close-partial', hash });
      await rm(join(this.#directory, hash), { force: true });
    }
  }

  /** Deletes files left by a crash that nobody has asked for since `olderThanMs`. */
  async sweep(olderThanMs: number): Promise<void> {
    for (const hash of this.#unverified) {
      const path = join(this.#directory, hash);
      const found = await stat(path).catch(() => undefined);
      if (found && found.mtimeMs >= olderThanMs) continue;
      this.#unverified.delete(hash);
      await rm(path, { force: true });
    }
  }

  #isUnverifiedSmall(file: WantedFile): boolean {
    return !hasPieces(file.sizeBytes) && this.#unverified.has(file.hash);
  }

  async #verifySmall(files: readonly WantedFile[]): Promise<void> {
    if (files.length === 0) return;
    const asked = files.map(({ hash, sizeBytes }) => ({ hash, sizeBytes }));
    const result = await this.#asked({ kind: 'verify-small', files: asked });
    if (result.outcome !== 'verified') return;
    for (const [index, file] of files.entries()) {
      this.#unverified.delete(file.hash);
      if (result.whole[index]) this.#stage(file.hash, file.sizeBytes);
    }
  }

  async #piecesOf(packageId: string, file: WantedFile): Promise<PieceSet | 'staged'> {
    if (!hasPieces(file.sizeBytes)) return new PieceSet(0);
    const arriving = this.#arriving.get(file.hash);
    if (arriving) {
      this.#arriving.set(file.hash, { ...arriving, packageId });
      return arriving.pieces;
    }
    const { hash, sizeBytes, pieceHashes } = file;
    const result = await this.#asked({ kind: 'open-partial', hash, sizeBytes, pieceHashes });
    if (result.outcome !== 'opened') throw new Error(`open-partial gave ${result.outcome}`);
    this.#unverified.delete(hash);
    if (result.complete) {
      this.#stage(hash, sizeBytes);
      return 'staged';
    }
    const pieces = new PieceSet(pieceCountOf(sizeBytes), result.pieces);
    this.#arriving.set(hash, { packageId, sizeBytes, pieces });
    return pieces;
  }

  #stage(hash: string, sizeBytes: number): void {
    this.#arriving.delete(hash);
    if (this.#staged.has(hash)) return;
    this.#staged.set(hash, { path: join(this.#directory, hash), hash, sizeBytes });
    this.#stagedBytes += sizeBytes;
  }

  async #asked(
    request: ReceiveRequest,
    transfer: readonly Uint8Array[] = [],
  ): Promise<ReceiveResult> {
    const buffers = new Set(transfer.map(({ buffer }) => buffer as ArrayBuffer));
    const result = await this.#worker.ask(request, [...buffers]);
    if (result.outcome === 'hash-mismatch') {
      const { expectedHash, actualHash } = result;
      throw new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash, actualHash });
    }
    return result;
  }
}

function checkPiece(sizeBytes: number, pieceIndex: number, lengthBytes: number): void {
  const count = pieceCountOf(sizeBytes);
  if (pieceIndex >= count) {
    throw new WaybillError({
      code: 'MESSAGE_INVALID',
      field: 'piece_index',
      expected: `less than ${count}`,
      actual: String(pieceIndex),
    });
  }
  const expected = pieceLengthOf(sizeBytes, pieceIndex);
  if (lengthBytes === expected) return;
  throw new WaybillError({
    code: 'MESSAGE_INVALID',
    field: 'data',
    expected: `${expected} bytes`,
    actual: `${lengthBytes} bytes`,
  });
}

/**
 * A message of at most this length may share its memory with other messages of the connection: the
 * transport hands out views of one socket read (64 KiB). Longer ones were put together in a buffer
 * of their own, which may be handed to another thread.
 */
const sharedMemoryBytesMax = 256 * 1024;

function ownsItsMemory(bytes: Uint8Array): boolean {
  return bytes.buffer.byteLength > sharedMemoryBytesMax;
}

function ownBytes(bytes: Uint8Array): Uint8Array {
  return ownsItsMemory(bytes) ? bytes : new Uint8Array(bytes);
}
