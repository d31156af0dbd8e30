import { Worker } from 'node:worker_threads';

/**
 * Memory for what a thread has just made, in MiB. As V8 comes each thread may take 48 MiB for it,
 * which four threads would not give back.
 */
const youngGenerationMiB = 3;

/** Starts a worker thread that takes little memory for itself. */
export function startWorkerThread(program: URL, workerData?: unknown): Worker {
  const resourceLimits = { maxYoungGenerationSizeMb: youngGenerationMiB };
  return new Worker(program, { workerData, resourceLimits });
}
