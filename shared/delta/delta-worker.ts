// The program of the thread that makes deltas.
import { closeSync, constants, fstatSync, openSync, rmSync } from 'node:fs';
import { toWriteFailure } from '../content-library/library-failure.ts';
import { serveThreadTask, type TaskContext } from '../content-library/thread-task.ts';
import type { DeltaTask } from './delta-maker.ts';
import { scanForDelta } from './delta-scan.ts';
import { DeltaWriter, type WrittenDelta } from './delta-writer.ts';
import { FileBytes } from './file-bytes.ts';

const { O_CREAT, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY } = constants;

serveThreadTask<DeltaTask, WrittenDelta | undefined, never>(async (task, context) => {
  try {
    const written = make(task, context);
    if (!written) rmSync(task.deltaPath, { force: true });
    return written;
  } catch (error) {
    rmSync(task.deltaPath, { force: true });
    throw toWriteFailure(error, task.deltaPath, task.deltaBytesMax);
  }
});

function make(task: DeltaTask, context: TaskContext<never>): WrittenDelta | undefined {
  const fds: number[] = [];
  const open = (path: string, flags: number) => {
    const fd = openSync(path, flags | O_NOFOLLOW, 0o600);
    fds.push(fd);
    return fd;
  };
  const openWhole = (path: string, sizeBytes: number) => {
    const fd = open(path, O_RDONLY);
    return fstatSync(fd).size === sizeBytes ? new FileBytes(fd, sizeBytes) : undefined;
  };
  try {
    const base = openWhole(task.basePath, task.baseBytes);
    const file = openWhole(task.filePath, task.fileBytes);
    if (!base || !file) return undefined;
    const writer = new DeltaWriter(open(task.deltaPath, O_WRONLY | O_CREAT | O_TRUNC), task);
    const goesOn = (scannedBytes: number, literalBytes: number) => {
      context.throwIfAborted();
      return isPromising(task, { scannedBytes, literalBytes, writtenBytes: writer.writtenBytes });
    };
    if (!scanForDelta({ base, file, sink: writer, goesOn })) return undefined;
    const written = writer.finish();
    return written.deltaBytes <= task.deltaBytesMax ? written : undefined;
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

function isPromising(
  { deltaBytesMax, scannedBytesMin }: DeltaTask,
  so: { scannedBytes: number; literalBytes: number; writtenBytes: number },
): boolean {
  if (so.writtenBytes > deltaBytesMax) return false;
  return so.scannedBytes < scannedBytesMin || so.literalBytes <= so.scannedBytes / 2;
}
