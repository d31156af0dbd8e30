import { parentPort, Worker, workerData } from 'node:worker_threads';
import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';
import { fromThreadFailure, type ThreadFailure, toThreadFailure } from './thread-failure.ts';

/** Messages a thread may have sent that are not handled yet; then it waits. */
const unhandledMax = 4;

/** Numbers both threads see. */
const abortedIndex = 0;
const handledIndex = 1;

type FromThread =
  | { readonly type: 'message'; readonly message: unknown }
  | { readonly type: 'result'; readonly result: unknown }
  | { readonly type: 'failure'; readonly failure: ThreadFailure };

interface ThreadStart {
  readonly input: unknown;
  readonly shared: Int32Array;
}

/** What a long task has in its own thread. */
export interface TaskContext<Message> {
  /** Tells the other thread; waits, blocking, while it is too far behind. */
  send(message: Message): void;
  /** @throws AbortError once the task is not wanted any more; to be asked often */
  throwIfAborted(): void;
}

/**
 * Runs one long task in a thread of its own.
 *
 * @param program a module that calls `serveThreadTask`
 * @param options.onMessage handles what the task sends; when it throws, the task is aborted
 * @throws what the task throws, or AbortError
 */
export async function runInThread<Result, Message>(
  program: URL,
  input: unknown,
  options: {
    onMessage: (message: Message) => Promise<void> | void;
    signal?: AbortSignal | undefined;
  },
): Promise<Result> {
  const { onMessage, signal } = options;
  throwIfAborted(signal);
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(program, { workerData: { input, shared } satisfies ThreadStart });
  const abort = () => {
    Atomics.store(shared, abortedIndex, 1);
    Atomics.notify(shared, handledIndex);
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await new Promise<Result>((resolve, reject) => {
      const handling: Promise<void>[] = [];
      const handle = async (message: Message) => {
        try {
          await onMessage(message);
        } catch (error) {
          abort();
          reject(error as Error);
        } finally {
          Atomics.add(shared, handledIndex, 1);
          Atomics.notify(shared, handledIndex);
        }
      };
      let hasResult = false;
      worker.on('message', (said: FromThread) => {
        if (said.type === 'message') handling.push(handle(said.message as Message));
        if (said.type === 'failure') reject(fromThreadFailure(said.failure));
        if (said.type === 'result') {
          const result = said.result as Result;
          hasResult = true;
          Promise.all(handling).then(() => resolve(result), reject);
        }
      });
      worker.on('error', reject);
      // A thread that gave its result may end while its messages are still being handled.
      worker.on('exit', () => {
        if (!hasResult) reject(new Error('A worker thread ended early'));
      });
    });
  } finally {
    signal?.removeEventListener('abort', abort);
    await worker.terminate();
  }
}

/** The program of a thread: runs the task with the input `runInThread` was given. */
export function serveThreadTask<Input, Result, Message>(
  task: (input: Input, context: TaskContext<Message>) => Promise<Result>,
): void {
  const { input, shared } = workerData as ThreadStart;
  const post = (said: FromThread) => parentPort?.postMessage(said);
  task(input as Input, new SharedContext<Message>(shared, post)).then(
    (result) => post({ type: 'result', result }),
    (error: unknown) => post({ type: 'failure', failure: toThreadFailure(error) }),
  );
}

class SharedContext<Message> implements TaskContext<Message> {
  readonly #shared: Int32Array;
  readonly #post: (said: FromThread) => void;
  #sentCount = 0;

  constructor(shared: Int32Array, post: (said: FromThread) => void) {
    this.#shared = shared;
    this.#post = post;
  }

  send(message: Message): void {
    this.#post({ type: 'message', message });
    this.#sentCount++;
    for (;;) {
      this.throwIfAborted();
      const handled = Atomics.load(this.#shared, handledIndex);
      if (this.#sentCount - handled < unhandledMax) return;
      Atomics.wait(this.#shared, handledIndex, handled, 1_000);
    }
  }

  throwIfAborted(): void {
    if (Atomics.load(this.#shared, abortedIndex) !== 0) throw new AbortError();
  }
}
