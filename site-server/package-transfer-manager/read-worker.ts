/**
 * Runs in a worker thread: reads content from the library straight into encoded messages. Called
 * by PieceSource. Keeps a few files open; stores nothing.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { filePathOf } from '../../shared/content-library/library-layout.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { ContentItem, SendableFile } from './content-item.ts';
import { filesFrame, type MessageFrame, pieceFrame } from './content-message.ts';

/** What the piece source asks. */
export type ReadRequest =
  /** Into this memory, which is left alone by others until the reply. */
  | {
      readonly kind: 'encode';
      readonly id: number;
      readonly item: ContentItem;
      readonly memory: SharedArrayBuffer;
    }
  /** Nobody reads: no file of a removed package on disk by being open. */
  | { readonly kind: 'rest' };

/** What the piece source is answered. */
export type ReadReply =
  /** The message is in the memory, so many bytes long. */
  | { readonly id: number; readonly length: number }
  /** The library does not hold this file, or not in its length. */
  | { readonly id: number; readonly lostHash: string }
  | { readonly id: number; readonly failure: { readonly code: string; readonly message: string } };

const { fileLibraryDirectory, openFilesMax } = workerData as {
  fileLibraryDirectory: string;
  openFilesMax: number;
};

/** Least recently used first. */
const openFiles = new Map<string, number>();

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

function keptOpen(file: SendableFile): number {
  const fd = openFiles.get(file.hash) ?? openLibraryFile(file);
  openFiles.delete(file.hash);
  openFiles.set(file.hash, fd);
  for (const oldest of openFiles.keys()) {
    if (openFiles.size <= openFilesMax) break;
    close(oldest);
  }
  return fd;
}

function close(hash: string): void {
  const fd = openFiles.get(hash);
  openFiles.delete(hash);
  if (fd !== undefined) closeSync(fd);
}

function rest(): void {
  for (const hash of openFiles.keys()) close(hash);
}

/** Fills one room of a frame with the bytes of a file from a position on. */
function fill(
  source: { fd: number; hash: string; position: number },
  frame: MessageFrame,
  room: MessageFrame['rooms'][number] | undefined,
): void {
  const { offset, sizeBytes } = room ?? { offset: 0, sizeBytes: 0 };
  for (let filled = 0; filled < sizeBytes; ) {
    const at = source.position + filled;
    const count = readSync(source.fd, frame.bytes, offset + filled, sizeBytes - filled, at);
    if (count === 0) throw new FileLost(source.hash);
    filled += count;
  }
}

function encodePiece(
  memory: SharedArrayBuffer,
  { file, pieceIndex, sizeBytes }: Extract<ContentItem, { kind: 'piece' }>,
): number {
  const { hash } = file;
  const frame = pieceFrame(memory, { hash, pieceIndex, sizeBytes });
  try {
    const source = { fd: keptOpen(file), hash, position: pieceIndex * pieceBytes };
    fill(source, frame, frame.rooms[0]);
  } catch (error) {
    // Another file may take this one's place: it must be found.
    close(hash);
    throw error;
  }
  return frame.bytes.length;
}

function encodeFiles(memory: SharedArrayBuffer, files: readonly SendableFile[]): number {
  const frame = filesFrame(memory, files);
  for (const [index, file] of files.entries()) {
    if (file.sizeBytes === 0) continue;
    const fd = openLibraryFile(file);
    try {
      fill({ fd, hash: file.hash, position: 0 }, frame, frame.rooms[index]);
    } finally {
      closeSync(fd);
    }
  }
  return frame.bytes.length;
}

function reply({ id, item, memory }: Extract<ReadRequest, { kind: 'encode' }>): ReadReply {
  try {
    const isPiece = item.kind === 'piece';
    return { id, length: isPiece ? encodePiece(memory, item) : encodeFiles(memory, item.files) };
  } catch (error) {
    if (error instanceof FileLost) return { id, lostHash: error.hash };
    const { code = '', message } = error as NodeJS.ErrnoException;
    return { id, failure: { code, message } };
  }
}

parentPort?.on('message', (request: ReadRequest) => {
  if (request.kind === 'rest') return rest();
  parentPort?.postMessage(reply(request));
});
