import type { TaskThreads } from '../content-library/task-threads.ts';
import type { Delta } from '../domain/delta.ts';
import type { DeltaSubject } from './delta-format.ts';
import type { WrittenDelta } from './delta-writer.ts';

/** Two files, and where the delta between them goes. */
export interface DeltaRequest extends DeltaSubject {
  readonly basePath: string;
  readonly filePath: string;
  /** Is made, or written anew; the directory exists. Nothing is left there without a delta. */
  readonly deltaPath: string;
}

/** When a delta is worth it. */
export interface DeltaConfig {
  /** Files of fewer bytes get none. @default 256 KiB */
  readonly fileBytesMin: number;
  /** A delta is at most this part of its file. @default 0.5 */
  readonly deltaShareMax: number;
  /** From here on a file that is literal for the larger part is given up, in bytes. @default 64 MiB */
  readonly scannedBytesMin: number;
}

/** As documented at each. */
export const defaultDeltaConfig: DeltaConfig = {
  fileBytesMin: 256 * 1024,
  deltaShareMax: 0.5,
  scannedBytesMin: 64 * 1024 * 1024,
};

/** What the thread is given. */
export interface DeltaTask extends DeltaRequest {
  readonly deltaBytesMax: number;
  readonly scannedBytesMin: number;
}

const program = new URL('./delta-worker.js', import.meta.url);

/** Whether files of these sizes may get a delta. */
export function mayHaveDelta(
  { baseBytes, fileBytes }: Pick<DeltaSubject, 'baseBytes' | 'fileBytes'>,
  { fileBytesMin }: Pick<DeltaConfig, 'fileBytesMin'> = defaultDeltaConfig,
): boolean {
  return baseBytes >= fileBytesMin && fileBytes >= fileBytesMin;
}

/**
 * Makes the delta from which, with the base, a file comes out. Works in a thread of its own.
 *
 * @returns undefined when none is worth it: the files are small, differ too much, or changed
 * @throws DISK_FULL; AbortError; what the file system says
 */
export async function makeDelta(
  threads: TaskThreads,
  request: DeltaRequest,
  { signal, config = defaultDeltaConfig }: { signal?: AbortSignal; config?: DeltaConfig } = {},
): Promise<Delta | undefined> {
  if (!mayHaveDelta(request, config)) return undefined;
  const deltaBytesMax = Math.floor(request.fileBytes * config.deltaShareMax);
  const { scannedBytesMin } = config;
  const task: DeltaTask = { ...request, deltaBytesMax, scannedBytesMin };
  const options = { onMessage: () => {}, signal };
  const written = await threads.run<WrittenDelta | undefined, never>(program, task, options);
  if (!written) return undefined;
  const { baseHash, baseBytes, fileHash, fileBytes } = request;
  return { fileHash, fileBytes, baseHash, baseBytes, ...written };
}
