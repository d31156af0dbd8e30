/**
 * Runs in a worker thread: writes and hashes package files that arrive, so that the event loop does
 * neither. Asked by ReceivedFileStore, one request a file at a time; writes only into the despool
 * folder. A crash leaves parts there, which are hashed when they are opened again.
 */
import { workerData } from 'node:worker_threads';
import { serveThread } from '../../shared/runtime/thread-service.ts';
import { PartFile } from './part-file.ts';
import { partPathOf } from './part-path.ts';
import type { PartRequest, PartResult } from './part-request.ts';

const { directory } = workerData as { directory: string };
const openParts = new Map<string, PartFile>();

async function open(request: PartRequest & { readonly kind: 'open' }): Promise<PartResult> {
  const { key } = request;
  await openParts.get(key)?.close();
  const part = await PartFile.open(partPathOf(directory, key), request);
  openParts.set(key, part);
  return { outcome: 'held', heldBytes: part.heldBytes };
}

async function answer(request: PartRequest): Promise<PartResult> {
  const { kind, key } = request;
  if (kind === 'open') return open(request);
  const part = openParts.get(key);
  if (!part) return { outcome: 'not-open' };
  if (kind === 'write') return part.write(request.offsetBytes, request.bytes);
  openParts.delete(key);
  if (kind === 'finish') return part.finish();
  await part.close();
  return { outcome: 'not-open' };
}

serveThread(answer);
