// The program of the thread that makes files from a base and a delta.
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { isSystemError } from '../content-library/library-failure.ts';
import { serveThreadTask } from '../content-library/thread-task.ts';
import { WaybillError } from '../domain/errors.ts';
import type { ApplyTask, MadePiece } from './delta-applier.ts';
import { deltaOperations } from './delta-reader.ts';
import { FileBytes } from './file-bytes.ts';
import { PieceAssembly } from './piece-assembly.ts';

serveThreadTask<ApplyTask, void, MadePiece>(async (task, context) => {
  const fds: number[] = [];
  try {
    const base = openWhole(fds, [task.basePath], task.delta.baseBytes);
    const delta = openWhole(fds, task.deltaPaths, task.delta.deltaBytes);
    if (!base || !delta) throw invalid(task, base ? 'it is not here' : 'its base is not here');
    const assembly = new PieceAssembly(task.delta.fileBytes, (pieceIndex, bytes) => {
      context.throwIfAborted();
      context.send({ pieceIndex, bytes }, [bytes.buffer]);
    });
    for (const operation of deltaOperations(delta, task.delta)) {
      if (operation.kind === 'insert') assembly.add(operation.bytes);
      else assembly.addFrom(base, operation.offset, operation.lengthBytes);
    }
  } catch (error) {
    if (isSystemError(error, 'EIO')) throw invalid(task, 'the disk cannot read it, or its base');
    throw error;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
});

/** The first of these files that is there in this size. */
function openWhole(
  fds: number[],
  paths: readonly string[],
  sizeBytes: number,
): FileBytes | undefined {
  for (const path of paths) {
    const fd = openIfThere(path);
    if (fd === undefined) continue;
    fds.push(fd);
    const stats = fstatSync(fd);
    if (stats.isFile() && stats.size === sizeBytes) return new FileBytes(fd, sizeBytes);
  }
  return undefined;
}

function openIfThere(path: string): number | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    return openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) return undefined;
    throw error;
  }
}

function invalid({ delta: { deltaHash } }: ApplyTask, reason: string): WaybillError {
  return new WaybillError({ code: 'DELTA_INVALID', deltaHash, reason });
}
