import { parseHash } from '../domain/content.ts';
import type { Clock } from '../runtime/clock.ts';
import type { ContentRelease } from './content-release.ts';
import type { LibraryLayout } from './library-layout.ts';
import type { LibraryRooms } from './library-rooms.ts';
import type { LibraryTasks } from './library-tasks.ts';
import type { Quarantine } from './quarantine.ts';
import { decideShards } from './sweep-steps.ts';
import type { WorkerPool } from './worker-pool.ts';

/** What a survey looks at. */
export interface LibrarySurveyParts {
  readonly rooms: LibraryRooms;
  readonly release: Pick<ContentRelease, 'isLive'>;
  readonly pool: WorkerPool<LibraryTasks>;
  readonly layout: LibraryLayout;
  readonly quarantine: Quarantine;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly unreferencedGraceMs: number;
  readonly unfinishedGraceMs: number;
}

/** Files, and what they take. */
export interface FileSum {
  readonly count: number;
  readonly bytes: number;
}

/** What of a library no package uses. */
export interface LibrarySurvey {
  /** False: the index is not complete, so nobody knows what is unused; nothing of it is deleted. */
  readonly isIndexComplete: boolean;
  readonly unused: FileSum;
  /** Those of the unused ones whose grace is over: the next sweep takes them. */
  readonly due: FileSum;
  /** Things in `file-lib` that are no files of a library; they are left alone. */
  readonly foreignCount: number;
  /** Packages for which something is staged; of these, those that nobody has worked on for long. */
  readonly stagedCount: number;
  readonly staleCount: number;
  /** Contents that no package has: what a crash left. */
  readonly leftoverCount: number;
  readonly setAside: FileSum;
}

/** Shards looked at in one step. */
const shardsPerStep = 128;

/** Looks through a library for what nobody uses, and changes nothing. */
export async function surveyLibrary(parts: LibrarySurveyParts): Promise<LibrarySurvey> {
  const { rooms, release, pool, layout, quarantine, clock } = parts;
  const { fileLibrary, staging } = layout;
  const nowMs = clock.nowMs();
  const workSinceMs = await pool.run('oldestWorkMs', { staging });
  const time = { nowMs, graceMs: parts.unreferencedGraceMs, workSinceMs };
  const shards = await pool.run('listShards', { fileLibrary });
  const unused = new Sum();
  const due = new Sum();
  let foreignCount = 0;
  for (let start = 0; start < shards.length; start += shardsPerStep) {
    const step = shards.slice(start, start + shardsPerStep);
    const names = await rooms.files.listInShards(step);
    const known = await rooms.references.ofShards(step[0] ?? '', step.at(-1) ?? '');
    const hashes = names.filter((name) => parseHash(name) !== undefined);
    foreignCount += names.length - hashes.length;
    const unreferenced = hashes.filter((hash) => !known.referenced.has(hash));
    unused.add(await pool.run('sizesOf', { fileLibrary, hashes: unreferenced }));
    const { remove } = decideShards(hashes, known, time);
    due.add(await pool.run('sizesOf', { fileLibrary, hashes: [...remove] }));
  }
  const untouchedSinceMs = nowMs - parts.unfinishedGraceMs;
  const staged = await pool.run('listStaged', { staging, untouchedSinceMs });
  const contentIds = await rooms.data.listContentIds();
  return {
    isIndexComplete: await rooms.references.isComplete(),
    unused,
    due,
    foreignCount,
    stagedCount: staged.count,
    staleCount: staged.staleCount,
    leftoverCount: contentIds.filter((contentId) => !release.isLive(contentId)).length,
    setAside: { count: quarantine.count, bytes: quarantine.sizeBytes },
  };
}

class Sum implements FileSum {
  count = 0;
  bytes = 0;

  add(sizes: Float64Array): void {
    this.count += sizes.length;
    for (const bytes of sizes) this.bytes += bytes;
  }
}
