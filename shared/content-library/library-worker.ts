// The program of a worker thread of the content library: one task after another.
import { parentPort } from 'node:worker_threads';
import { libraryTasks } from './library-tasks.ts';
import { toThreadFailure } from './thread-failure.ts';
import type { PoolAnswer, PoolRequest } from './worker-pool.ts';

parentPort?.on('message', ({ id, task, input }: PoolRequest) => {
  parentPort?.postMessage(answer(id, task, input));
});

function answer(id: number, task: string, input: unknown): PoolAnswer {
  try {
    const run = (libraryTasks as Record<string, (input: never) => unknown>)[task];
    if (!run) throw new Error(`There is no task ${task}`);
    return { id, result: run(input as never) };
  } catch (error) {
    return { id, failure: toThreadFailure(error) };
  }
}
