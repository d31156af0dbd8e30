// The program of the thread that reads one source.

import type { StagedFile } from '../../shared/content-library/library-tasks.ts';
import { ManifestWriter } from '../../shared/content-library/manifest-writer.ts';
import { PreviousEntries } from '../../shared/content-library/previous-entries.ts';
import { type FileProgress, TaskProgress } from '../../shared/content-library/task-progress.ts';
import { serveThreadTask, type TaskContext } from '../../shared/content-library/thread-task.ts';
import type { ContentDescriptor } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { OwnInodes } from './own-places.ts';
import { SourceChangedError, triesMax } from './source-snapshot-path.ts';
import { NothingStaged, SnapshotStaging } from './source-snapshot-staging.ts';
import { SourceWalk } from './source-snapshot-walk.ts';

/** What the thread is given; all paths are real and absolute. */
export interface SnapshotInput {
  readonly directory: string;
  readonly contentId: string;
  readonly manifestPath: string;
  readonly signaturePath: string;
  /** Where files that are not held yet are put; undefined: they are only looked at. */
  readonly staging: string | undefined;
  readonly fileLibrary: string;
  /** The site's own files and directories: none of them is read, whatever way leads there. */
  readonly ownInodes: readonly string[];
  readonly previous:
    | { readonly manifestPath: string; readonly descriptor: ContentDescriptor }
    | undefined;
}

/** What the thread says while it works. */
export type SnapshotMessage =
  | { readonly type: 'staged'; readonly files: readonly StagedFile[] }
  | { readonly type: 'progress'; readonly progress: FileProgress };

serveThreadTask<SnapshotInput, ContentDescriptor, SnapshotMessage>(async (input, context) => {
  for (let tryCount = 1; ; tryCount++) {
    try {
      return await readOnce(input, context);
    } catch (error) {
      if (!(error instanceof SourceChangedError)) throw error;
      const { path } = error;
      if (error.isFinal || tryCount === triesMax) {
        throw new WaybillError({ code: 'SOURCE_CHANGED', path, tries: triesMax });
      }
    }
  }
});

async function readOnce(
  input: SnapshotInput,
  context: TaskContext<SnapshotMessage>,
): Promise<ContentDescriptor> {
  using manifest = new ManifestWriter(input);
  await using previous = new PreviousEntries(input.previous);
  const progress = new TaskProgress((now) => context.send({ type: 'progress', progress: now }));
  const staging =
    input.staging === undefined ? undefined : stagingIn(input.staging, input, context);
  using walk = new SourceWalk({
    directory: input.directory,
    ...{ manifest, previous, progress },
    own: new OwnInodes(input.ownInodes),
    staging: staging ?? new NothingStaged(input.fileLibrary),
    throwIfAborted: () => context.throwIfAborted(),
  });
  await walk.readAll();
  staging?.handOver();
  const descriptor = manifest.finish();
  progress.tell();
  if (descriptor.entryCount === 0) {
    throw new WaybillError({ code: 'SOURCE_EMPTY', path: input.directory });
  }
  return descriptor;
}

function stagingIn(
  directory: string,
  { fileLibrary }: SnapshotInput,
  context: TaskContext<SnapshotMessage>,
): SnapshotStaging {
  const onStaged = (files: readonly StagedFile[]) => context.send({ type: 'staged', files });
  return new SnapshotStaging({ directory, fileLibrary, onStaged });
}
