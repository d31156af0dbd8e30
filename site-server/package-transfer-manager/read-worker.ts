/**
 * Runs in a worker thread: reads content from the library straight into encoded messages. Called
 * by PieceSource. Keeps a few files open; stores nothing.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { filePathOf } from '../../shared/content-library/library-layout.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { ContentItem, SendableFile } from './content-item.ts';
import { filesFrame, frameMemoryBytes, type MessageFrame, pieceFrame } from './content-message.ts';

/** What the piece source asks. */
export type ReadRequest =
  | { readonly kind: 'encode'; readonly id: number; readonly item: ContentItem }
  /** Memory of a message that is done with, to be filled again. */
  | { readonly kind: 'reuse'; readonly memory: ArrayBuffer }
  /** Nobody reads: no memory is kept, and no file of a removed package on disk by being open. */
  | { readonly kind: 'rest' };

/** What the piece source is answered. */
export type ReadReply =
  | { readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The library does not hold this file, or not in its length. */
  | { readonly id: number; readonly lostHash: string }
  | { readonly id: number; readonly failure: { readonly code: string; readonly message: string } };

const { fileLibraryDirectory, openFilesMax } = workerData as {
  fileLibraryDirectory: string;
  openFilesMax: number;
};

/** Least recently used first. */
const openFiles = new Map<string, number>();

/** Frames that came back, to be filled again; bounded by the frames that were on their way at once. */
const spareFrames: ArrayBuffer[] = [];
const spareFramesMax = 64;

function frameMemory(): ArrayBuffer {
  return spareFrames.pop() ?? new ArrayBuffer(frameMemoryBytes);
}

function reuse(memory: ArrayBuffer): void {
  if (spareFrames.length < spareFramesMax) spareFrames.push(memory);
}

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
  spareFrames.length = 0;
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

function encodePiece({ file, pieceIndex, sizeBytes }: Extract<ContentItem, { kind: 'piece' }>) {
  const { hash } = file;
  const frame = pieceFrame(frameMemory(), { hash, pieceIndex, sizeBytes });
  try {
    const source = { fd: keptOpen(file), hash, position: pieceIndex * pieceBytes };
    fill(source, frame, frame.rooms[0]);
  } catch (error) {
    // Another file may take this one's place: it must be found.
    close(hash);
    throw error;
  }
  return frame.bytes;
}

function encodeFiles(files: readonly SendableFile[]) {
  const frame = filesFrame(frameMemory(), files);
  for (const [index, file] of files.entries()) {
    if (file.sizeBytes === 0) continue;
    const fd = openLibraryFile(file);
    try {
      fill({ fd, hash: file.hash, position: 0 }, frame, frame.rooms[index]);
    } finally {
      closeSync(fd);
    }
  }
  return frame.bytes;
}

function reply(id: number, item: ContentItem): ReadReply {
  try {
    return { id, bytes: item.kind === 'piece' ? encodePiece(item) : encodeFiles(item.files) };
  } catch (error) {
    if (error instanceof FileLost) return { id, lostHash: error.hash };
    const { code = '', message } = error as NodeJS.ErrnoException;
    return { id, failure: { code, message } };
  }
}

parentPort?.on('message', (request: ReadRequest) => {
  if (request.kind === 'reuse') return reuse(request.memory);
  if (request.kind === 'rest') return rest();
  const answer = reply(request.id, request.item);
  parentPort?.postMessage(answer, 'bytes' in answer ? [answer.bytes.buffer] : []);
});
