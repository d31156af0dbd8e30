/**
 * Runs in a worker thread: reads small files from the library straight into one encoded message, so
 * that opening thousands of files costs the event loop nothing. Called by PieceSource; stores
 * nothing.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { filePathOf } from '../content-library/library-layout.ts';
import { serveThread } from '../runtime/thread-service.ts';
import type { SendableFile } from './content-item.ts';
import { filesFrame, type MessageFrame } from './content-message.ts';

/** What the piece source asks: one message, written into memory that is handed over. */
export interface BatchRequest {
  readonly files: readonly SendableFile[];
  readonly memory: ArrayBuffer;
}

/** What the piece source is answered. The memory is handed back. */
export type BatchResult =
  /** The message is in the memory, so many bytes long. */
  | { readonly memory: ArrayBuffer; readonly length: number }
  /** The library does not hold this file, or not in its length. */
  | { readonly memory: ArrayBuffer; readonly lostHash: string };

const { fileLibraryDirectory } = workerData as { fileLibraryDirectory: string };

class FileLost extends Error {
  readonly hash: string;

  constructor(hash: string) {
    super(`File ${hash} is lost`);
    this.hash = hash;
  }
}

function openLibraryFile({ hash, sizeBytes }: SendableFile): number {
  const fd = openRegular(hash);
  const found = fstatSync(fd);
  if (found.isFile() && found.size === sizeBytes) return fd;
  closeSync(fd);
  throw new FileLost(hash);
}

function openRegular(hash: string): number {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    return openSync(filePathOf(fileLibraryDirectory, hash), flags);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw ['ENOENT', 'ELOOP', 'ENOTDIR'].includes(code) ? new FileLost(hash) : error;
  }
}

/** Fills one room of a frame with the bytes of a file. */
function fill(
  fd: number,
  { bytes }: MessageFrame,
  { hash, offset, sizeBytes }: { hash: string; offset: number; sizeBytes: number },
): void {
  for (let filled = 0; filled < sizeBytes; ) {
    const count = readSync(fd, bytes, offset + filled, sizeBytes - filled, filled);
    if (count === 0) throw new FileLost(hash);
    filled += count;
  }
}

function encode({ files, memory }: BatchRequest): number {
  const frame = filesFrame(memory, files);
  for (const [index, file] of files.entries()) {
    if (file.sizeBytes === 0) continue;
    const fd = openLibraryFile(file);
    try {
      fill(fd, frame, { ...file, offset: frame.rooms[index]?.offset ?? 0 });
    } finally {
      closeSync(fd);
    }
  }
  return frame.bytes.length;
}

function batch(request: BatchRequest): BatchResult {
  const { memory } = request;
  try {
    return { memory, length: encode(request) };
  } catch (error) {
    if (error instanceof FileLost) return { memory, lostHash: error.hash };
    throw error;
  }
}

serveThread(batch, ({ memory }) => [memory]);
