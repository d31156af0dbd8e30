/**
 * Runs in a worker thread: verifies and writes what arrives, so that the event loop never hashes.
 * Called by ReceiveWorkerClient, one request at a time a file; writes only into the incoming
 * folder. A crash leaves partial files there, which are verified piece by piece when they are
 * opened again.
 */
import {
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { ContentHash, hashOf } from '../../shared/content-library/content-hash.ts';
import { pieceBytes, pieceCountOf, pieceLengthOf } from '../../shared/domain/content.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import type { ReceiveReply, ReceiveRequest, ReceiveResult } from './receive-request.ts';

/** Written bytes after which write-back to disk is started, so that the last sync is short. */
const writeBackBytes = 32 * pieceBytes;

const { directory } = workerData as { directory: string };
const synced = promisify(fdatasync);
const openFiles = new Map<string, PartialFile>();

/** A file of several pieces that is arriving. */
class PartialFile {
  readonly hash: string;
  readonly sizeBytes: number;
  readonly pieceHashes: Buffer;
  readonly fd: number;
  readonly pieces: PieceSet;
  #hasher = new ContentHash();
  #hashedPieces = 0;
  #dirtyBytes = 0;
  #writeBack: Promise<void> = Promise.resolve();

  constructor(request: { hash: string; sizeBytes: number; pieceHashes: Uint8Array }) {
    this.hash = request.hash;
    this.sizeBytes = request.sizeBytes;
    this.pieceHashes = Buffer.from(request.pieceHashes);
    this.pieces = new PieceSet(pieceCountOf(request.sizeBytes));
    this.fd = openSync(
      join(directory, this.hash),
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    );
    this.#verifyWhatIsThere();
  }

  /** Nothing on disk is believed: a power cut may have kept the size and lost the bytes. */
  #verifyWhatIsThere(): void {
    const { size } = fstatSync(this.fd);
    if (size > this.sizeBytes) ftruncateSync(this.fd, this.sizeBytes);
    const reachedBytes = Math.min(size, this.sizeBytes);
    for (let index = 0; index < pieceCountOf(reachedBytes); index++) {
      const bytes = this.#read(index);
      if (this.#isPiece(index, bytes)) this.#hold(index, bytes);
    }
  }

  /** @returns why the bytes were refused, or undefined when they are written */
  async write(index: number, bytes: Uint8Array): Promise<ReceiveResult> {
    if (this.pieces.has(index)) return { outcome: 'written', complete: this.pieces.isComplete };
    if (!this.#isPiece(index, bytes)) {
      return {
        outcome: 'hash-mismatch',
        expectedHash: this.#pieceHash(index),
        actualHash: hashOf(bytes),
      };
    }
    writeFully(this.fd, bytes, index * pieceBytes);
    this.#hold(index, bytes);
    this.#startWriteBack(bytes.length);
    return this.pieces.isComplete ? this.finish() : { outcome: 'written', complete: false };
  }

  /** The whole file against its own hash: pieces and name came by different fields. */
  async finish(): Promise<ReceiveResult> {
    await this.#writeBack;
    const actualHash = this.#hasher.digest();
    this.close();
    if (actualHash === this.hash) return { outcome: 'written', complete: true };
    unlinkSync(join(directory, this.hash));
    return { outcome: 'hash-mismatch', expectedHash: this.hash, actualHash };
  }

  close(): void {
    openFiles.delete(this.hash);
    closeSync(this.fd);
  }

  /** The whole-file hash runs along in order; what came early is read back from the page cache. */
  #hold(index: number, bytes: Uint8Array): void {
    this.pieces.add(index);
    if (index !== this.#hashedPieces) return;
    this.#hasher.update(bytes);
    this.#hashedPieces += 1;
    while (this.pieces.has(this.#hashedPieces)) {
      this.#hasher.update(this.#read(this.#hashedPieces));
      this.#hashedPieces += 1;
    }
  }

  #startWriteBack(bytes: number): void {
    this.#dirtyBytes += bytes;
    if (this.#dirtyBytes < writeBackBytes) return;
    this.#dirtyBytes = 0;
    // The kernel tells a write-back error once: it must be met here, and the file must not live on.
    this.#writeBack = this.#writeBack.then(() => synced(this.fd));
    this.#writeBack.catch(() => this.#discard());
  }

  #discard(): void {
    if (openFiles.get(this.hash) === this) openFiles.delete(this.hash);
    unlinkSync(join(directory, this.hash));
  }

  #isPiece(index: number, bytes: Uint8Array): boolean {
    return hashOf(bytes) === this.#pieceHash(index);
  }

  #pieceHash(index: number): string {
    return this.pieceHashes.toString('hex', index * 32, index * 32 + 32);
  }

  #read(index: number): Uint8Array {
    const bytes = Buffer.allocUnsafe(pieceLengthOf(this.sizeBytes, index));
    let filled = 0;
    while (filled < bytes.length) {
      const count = readSync(
        this.fd,
        bytes,
        filled,
        bytes.length - filled,
        index * pieceBytes + filled,
      );
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  }
}

function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length) {
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
  }
}

async function openPartial(
  request: Extract<ReceiveRequest, { kind: 'open-partial' }>,
): Promise<ReceiveResult> {
  openFiles.get(request.hash)?.close();
  const file = new PartialFile(request);
  openFiles.set(request.hash, file);
  const pieces = file.pieces.toBytes();
  if (!file.pieces.isComplete) return { outcome: 'opened', pieces, complete: false };
  const finished = await file.finish();
  if (finished.outcome === 'written') return { outcome: 'opened', pieces, complete: true };
  return openPartial(request);
}

async function writePiece(
  request: Extract<ReceiveRequest, { kind: 'write-piece' }>,
): Promise<ReceiveResult> {
  const file = openFiles.get(request.hash);
  return file?.write(request.pieceIndex, request.bytes) ?? { outcome: 'not-open' };
}

function writeSmallFiles(request: Extract<ReceiveRequest, { kind: 'write-small' }>): ReceiveResult {
  for (const { hash, bytes } of request.files) {
    const actualHash = hashOf(bytes);
    if (actualHash !== hash) return { outcome: 'hash-mismatch', expectedHash: hash, actualHash };
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
    const fd = openSync(join(directory, hash), flags, 0o600);
    try {
      writeFully(fd, bytes, 0);
    } finally {
      closeSync(fd);
    }
  }
  return { outcome: 'written', complete: true };
}

/** Which of these small files, staged before a restart, are whole. */
function verifySmallFiles(
  request: Extract<ReceiveRequest, { kind: 'verify-small' }>,
): ReceiveResult {
  return {
    outcome: 'verified',
    whole: request.files.map(({ hash, sizeBytes }) => isWhole(hash, sizeBytes)),
  };
}

function isWhole(hash: string, sizeBytes: number): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(join(directory, hash), constants.O_RDONLY | constants.O_NOFOLLOW);
    if (fstatSync(fd).size !== sizeBytes) return false;
    const bytes = Buffer.allocUnsafe(sizeBytes);
    let filled = 0;
    while (filled < sizeBytes) {
      const count = readSync(fd, bytes, filled, sizeBytes - filled, filled);
      if (count === 0) return false;
      filled += count;
    }
    return hashOf(bytes) === hash;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function closePartial(request: Extract<ReceiveRequest, { kind: 'close-partial' }>): ReceiveResult {
  openFiles.get(request.hash)?.close();
  return { outcome: 'closed' };
}

function answer(request: ReceiveRequest): ReceiveResult | Promise<ReceiveResult> {
  switch (request.kind) {
    case 'open-partial':
      return openPartial(request);
    case 'write-piece':
      return writePiece(request);
    case 'write-small':
      return writeSmallFiles(request);
    case 'verify-small':
      return verifySmallFiles(request);
    case 'close-partial':
      return closePartial(request);
  }
}

async function replyTo(id: number, request: ReceiveRequest): Promise<ReceiveReply> {
  try {
    return { id, result: await answer(request) };
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    return { id, failure: { code, message } };
  }
}

parentPort?.on('message', ({ id, request }: { id: number; request: ReceiveRequest }) => {
  void replyTo(id, request).then((reply) => parentPort?.postMessage(reply));
});
