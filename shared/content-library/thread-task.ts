import { parentPort } from 'node:worker_threads';
import { AbortError } from '../runtime/abort-error.ts';
import { type FromThread, sharedIndex, type ThreadTaskStart } from './task-threads.ts';
import { toThreadFailure } from './thread-failure.ts';

/** Messages a task may have sent that are not handled yet; then it waits. */
const unhandledMax = 4;

/** What a long task has in its own thread. */
export interface TaskContext<Message> {
  /**
   * Tells the other thread; waits, blocking, while that is too far behind.
   *
   * @param transfer memory that is handed over instead of copied
   */
  send(message: Message, transfer?: readonly ArrayBuffer[]): void;
  /** @throws AbortError once the task is not wanted any more; to be asked often */
  throwIfAborted(): void;
}

/** The program of a thread: runs a task for each input that `TaskThreads` brings. */
export function serveThreadTask<Input, Result, Message>(
  task: (input: Input, context: TaskContext<Message>) => Promise<Result>,
): void {
  const post: Post = (said, transfer = []) => parentPort?.postMessage(said, transfer);
  parentPort?.on('message', ({ input, shared }: ThreadTaskStart) => {
    task(input as Input, new SharedContext<Message>(shared, post)).then(
      (result) => post({ type: 'result', result }),
      (error: unknown) => post({ type: 'failure', failure: toThreadFailure(error) }),
    );
  });
}

type Post = (said: FromThread, transfer?: readonly ArrayBuffer[]) => void;

class SharedContext<Message> implements TaskContext<Message> {
  readonly #shared: Int32Array;
  readonly #post: Post;
  #sentCount = 0;

  constructor(shared: Int32Array, post: Post) {
    this.#shared = shared;
    this.#post = post;
  }

  send(message: Message, transfer?: readonly ArrayBuffer[]): void {
    this.#post({ type: 'message', message }, transfer);
    this.#sentCount++;
    for (;;) {
      this.throwIfAborted();
      const handled = Atomics.load(this.#shared, sharedIndex.handled);
      if (this.#sentCount - handled < unhandledMax) return;
      // Not for ever: an abort that comes just before the wait would not be seen.
      Atomics.wait(this.#shared, sharedIndex.handled, handled, 100);
    }
  }

  throwIfAborted(): void {
    if (Atomics.load(this.#shared, sharedIndex.aborted) !== 0) throw new AbortError();
  }
}
