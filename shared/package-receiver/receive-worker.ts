/**
 * Runs in a worker thread: verifies and writes what arrives, so that the event loop never hashes.
 * Called by ReceiveWorkerClient; writes only into the incoming folder. A crash leaves partial files
 * there, which are verified piece by piece when they are opened again.
 */
import { workerData } from 'node:worker_threads';
import { hashOf } from '../content-library/content-hash.ts';
import { releaseMemory } from '../runtime/release-memory.ts';
import { serveThread } from '../runtime/thread-service.ts';
import { EarlyPieces } from './early-pieces.ts';
import { unpackFiles } from './packed-files.ts';
import { PartialFile } from './partial-file.ts';
import type { ReceiveRequest, ReceiveResult } from './receive-request.ts';
import { isWhole, writeSmallFile } from './small-file.ts';

type RequestOfKind<K extends ReceiveRequest['kind']> = Extract<ReceiveRequest, { kind: K }>;

const { directory } = workerData as { directory: string };
const openFiles = new Map<string, PartialFile>();
const earlyPieces = new EarlyPieces();
const pathOf = (hash: string) => `${directory}/${hash}`;

async function openPartial(request: RequestOfKind<'open-partial'>): Promise<ReceiveResult> {
  const { hash } = request;
  let file = openFiles.get(hash);
  for (; file && !file.takes(request); file = openFiles.get(hash)) await file.close();
  file ??= new PartialFile(pathOf(hash), request, {
    earlyPieces,
    onEnded: () => openFiles.delete(hash),
  });
  openFiles.set(hash, file);
  const pieces = file.pieces.toBytes();
  if (!file.pieces.isComplete) return { outcome: 'opened', pieces, complete: false };
  const finished = await file.finish();
  if (finished.outcome === 'written') return { outcome: 'opened', pieces, complete: true };
  // Every piece is right and the file is not: it is gone, and begun anew.
  return openPartial(request);
}

async function writePiece(request: RequestOfKind<'write-piece'>): Promise<ReceiveResult> {
  const { hash, pieceIndex: index, bytes, isReadSoon } = request;
  return openFiles.get(hash)?.write({ index, bytes, isReadSoon }) ?? { outcome: 'not-open' };
}

/** All are verified before the first is written. */
async function writeSmallFiles(request: RequestOfKind<'write-small'>): Promise<ReceiveResult> {
  const files = unpackFiles(request.files);
  for (const { hash, bytes } of files) {
    const actualHash = hashOf(bytes);
    if (actualHash === hash) continue;
    return { outcome: 'hash-mismatch', expectedHash: hash, actualHash, discarded: false };
  }
  for (const { hash, bytes } of files) {
    // Some manifest told another length of these bytes; now they are here and it was wrong.
    const partial = openFiles.get(hash);
    if (partial) await partial.close();
    writeSmallFile(pathOf(hash), hash, bytes);
  }
  releaseMemory(request.files.memory);
  return { outcome: 'written', complete: true };
}

/** Which of these small files, staged before a restart, are whole. */
function verifySmallFiles({ files }: RequestOfKind<'verify-small'>): ReceiveResult {
  return { outcome: 'verified', whole: files.map((file) => isWhole(pathOf(file.hash), file)) };
}

async function closePartial({ hash }: RequestOfKind<'close-partial'>): Promise<ReceiveResult> {
  await openFiles.get(hash)?.close();
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

serveThread(answer);
