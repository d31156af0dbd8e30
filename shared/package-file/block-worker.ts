// The program of the threads that pack blocks.
import { parentPort } from 'node:worker_threads';
import { toThreadFailure } from '../content-library/thread-failure.ts';
import type { PoolAnswer, PoolRequest } from '../content-library/worker-pool.ts';
import { type BlockTasks, blockTasks } from './block-tasks.ts';

parentPort?.on('message', ({ id, input }: PoolRequest) => {
  parentPort?.postMessage(answer(id, input as Parameters<BlockTasks['pack']>[0]));
});

function answer(id: number, input: Parameters<BlockTasks['pack']>[0]): PoolAnswer {
  try {
    return { id, result: blockTasks.pack(input) };
  } catch (error) {
    return { id, failure: toThreadFailure(error) };
  }
}
