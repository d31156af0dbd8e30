/**
 * Runs in a worker thread: reads content from the library straight into encoded messages. Called
 * by PieceSource. Keeps a few files open; stores nothing.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { ContentItem, SendableFile } from './content-item.ts';
import { filesFrame, frameMemoryBytes, type MessageFrame, pieceFrame } from './content-message.ts';

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

function openLibraryFile({ hash, sizeBytes }: SendableFile): number {
  const path = join(fileLibraryDirectory, hash.slice(0, 4), hash);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const found = fstatSync(fd);
  if (found.isFile() && found.size === sizeBytes) return fd;
  closeSync(fd);
  throw Object.assign(new Error(`${hash} has another size`), { code: 'ENOENT' });
}

function keptOpen(file: SendableFile): number {
  const fd = openFiles.get(file.hash) ?? openLibraryFile(file);
  openFiles.delete(file.hash);
  openFiles.set(file.hash, fd);
  for (const [hash, oldest] of openFiles) {
    if (openFiles.size <= openFilesMax) break;
    openFiles.delete(hash);
    closeSync(oldest);
  }
  return fd;
}

function readInto(fd: number, frame: MessageFrame, roomIndex: number, position: number): void {
  const room = frame.rooms[roomIndex];
  if (!room) throw new Error('no room');
  let filled = 0;
  while (filled < room.sizeBytes) {
    const { offset, sizeBytes } = room;
    const at = position + filled;
    const count = readSync(fd, frame.bytes, offset + filled, sizeBytes - filled, at);
    if (count === 0) throw Object.assign(new Error('file is short'), { code: 'ENOENT' });
    filled += count;
  }
}

function encode(item: ContentItem): Uint8Array {
  if (item.kind === 'piece') {
    const frame = pieceFrame(frameMemory(), {
      hash: item.file.hash,
      pieceIndex: item.pieceIndex,
      sizeBytes: item.sizeBytes,
    });
    readInto(keptOpen(item.file), frame, 0, item.pieceIndex * pieceBytes);
    return frame.bytes;
  }
  const frame = filesFrame(frameMemory(), item.files);
  for (const [index, file] of item.files.entries()) {
    if (file.sizeBytes === 0) continue;
    const fd = openLibraryFile(file);
    try {
      readInto(fd, frame, index, 0);
    } finally {
      closeSync(fd);
    }
  }
  return frame.bytes;
}

/** The files of a removed package must not stay on disk because they are open here. */
function forget(hash: string): void {
  const fd = openFiles.get(hash);
  if (fd === undefined) return;
  openFiles.delete(hash);
  closeSync(fd);
}

type Request =
  | { readonly kind: 'encode'; readonly id: number; readonly item: ContentItem }
  | { readonly kind: 'forget'; readonly hash: string }
  | { readonly kind: 'reuse'; readonly memory: ArrayBuffer };

parentPort?.on('message', (request: Request) => {
  if (request.kind === 'forget') return forget(request.hash);
  if (request.kind === 'reuse') {
    if (spareFrames.length < spareFramesMax) spareFrames.push(request.memory);
    return;
  }
  const { id, item } = request;
  try {
    const bytes = encode(item);
    parentPort?.postMessage({ id, bytes }, [bytes.buffer as ArrayBuffer]);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    parentPort?.postMessage({ id, failure: { code, message } });
  }
});
