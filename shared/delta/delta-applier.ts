import type { TaskThreads } from '../content-library/task-threads.ts';
import type { Delta } from '../domain/delta.ts';

/** What the thread is given. */
export interface ApplyTask {
  readonly delta: Delta;
  readonly basePath: string;
  /** Where the delta may be: the first that is there counts. */
  readonly deltaPaths: readonly string[];
}

/** A piece of the file, which nobody has verified; the only one of a file of one piece is all of it. */
export interface MadePiece {
  readonly pieceIndex: number;
  readonly bytes: Uint8Array;
}

/** How an application is followed. */
export interface ApplyOptions {
  /** Takes a piece, in order; it has to verify it. */
  readonly onPiece: (piece: MadePiece) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
}

const program = new URL('./apply-worker.js', import.meta.url);

/**
 * Makes a file from a base and a delta, piece by piece, in a thread of its own; at most a few pieces
 * are in memory. It writes nothing: whoever takes the pieces verifies them as any that arrives.
 *
 * @throws DELTA_INVALID when the delta is damaged or base or delta cannot be read; pieces before that
 *   may be right all the same
 * @throws what `onPiece` throws; AbortError
 */
export async function applyDelta(
  threads: TaskThreads,
  task: ApplyTask,
  { onPiece, signal }: ApplyOptions,
): Promise<void> {
  await threads.run<void, MadePiece>(program, task, { onMessage: onPiece, signal });
}
