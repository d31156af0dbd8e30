import { parseHash } from '../domain/content.ts';
import type { ShardReferences } from './library-references.ts';
import type { LibraryRooms } from './library-rooms.ts';

/** What is to be done about some shards. */
export interface ShardsSweep {
  /** Files nobody uses whose grace is over. */
  readonly remove: readonly string[];
  /** Files nobody uses, seen for the first time. */
  readonly mark: readonly string[];
  /** Marks on files that are used, or not there. */
  readonly unmark: readonly string[];
}

/** When files nobody uses may go. */
export interface SweepTimes {
  readonly nowMs: number;
  readonly graceMs: number;
  /**
   * Since when somebody has worked on a package that is not committed yet. What no content has used
   * yet may have been taken in for it since then, and stays however long that takes. What a content
   * let go does not: the work may be waiting for the very room it takes. If it wanted such a file
   * all the same, its commit finds it missing.
   */
  readonly workSinceMs: number;
}

/** Decides about the files of some shards. */
export function decideShards(
  names: readonly string[],
  known: ShardReferences,
  time: SweepTimes,
): ShardsSweep {
  const remove: string[] = [];
  const mark: string[] = [];
  const unmark = new Set(known.unreferenced.keys());
  for (const name of names) {
    // What is no file of ours is left alone.
    if (parseHash(name) === undefined || known.referenced.has(name)) continue;
    unmark.delete(name);
    const knownMark = known.unreferenced.get(name);
    // A mark from the future: the machine's clock was set back.
    if (knownMark === undefined || knownMark.sinceMs > time.nowMs) mark.push(name);
    else if (knownMark.released !== true && knownMark.sinceMs >= time.workSinceMs) continue;
    else if (time.nowMs - knownMark.sinceMs >= time.graceMs) remove.push(name);
  }
  return { remove, mark, unmark: [...unmark] };
}

/**
 * Sweeps some shards that follow one another. Nothing may be committed meanwhile. Can be done
 * twice, and broken off.
 */
export async function sweepShards(
  rooms: LibraryRooms,
  shards: readonly string[],
  time: SweepTimes,
): Promise<{ removedCount: number }> {
  const [first, last] = [shards[0], shards.at(-1)];
  if (first === undefined || last === undefined) return { removedCount: 0 };
  const names = await rooms.files.listInShards(shards);
  const known = await rooms.references.ofShards(first, last);
  const decision = decideShards(names, known, time);
  // A file may have been written again since its mark was read.
  const removed = await rooms.files.remove(() => rooms.references.marked(decision.remove));
  await rooms.files.removeEmptyShards(shards);
  await rooms.references.mark(decision.mark, time.nowMs);
  await rooms.references.unmark([...decision.unmark, ...removed]);
  return { removedCount: removed.length };
}

/** Takes off marks of files whose whole shard is gone. Nothing may be committed meanwhile. */
export async function sweepMarks(rooms: LibraryRooms, shards: readonly string[]): Promise<void> {
  const known = new Set(shards);
  let gone: string[] = [];
  for await (const hash of rooms.references.listMarked()) {
    if (known.has(hash.slice(0, 4))) continue;
    gone.push(hash);
    if (gone.length < 2_000) continue;
    await rooms.references.unmark(gone);
    gone = [];
  }
  await rooms.references.unmark(gone);
}
