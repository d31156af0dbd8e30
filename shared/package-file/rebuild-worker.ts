// The program of the thread that makes files from the deltas of a package file.
import { toWriteFailure } from '../content-library/library-failure.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import type { StagedFile } from '../content-library/library-tasks.ts';
import { serveThreadTask } from '../content-library/thread-task.ts';
import type { Delta } from '../domain/delta.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import { FileStager } from './file-stager.ts';
import { isThere, madeBytes } from './made-files.ts';
import { invalidPackageFile } from './package-file-failure.ts';

/** What the thread is given: deltas that are in the library, and whose bases were just hashed. */
export interface RebuildInput {
  readonly packageId: string;
  readonly fileLibrary: string;
  readonly deltas: readonly Delta[];
  readonly filesDirectory: string;
}

serveThreadTask<RebuildInput, number, readonly StagedFile[]>(async (input, context) => {
  try {
    const stager = new FileStager(input.filesDirectory, (files) => context.send(files));
    let missingFiles = 0;
    for (const delta of input.deltas) {
      context.throwIfAborted();
      if (!rebuild(input, delta, { stager, throwIfAborted: () => context.throwIfAborted() })) {
        missingFiles += 1;
      }
    }
    stager.handOver();
    return missingFiles;
  } catch (error) {
    throw toWriteFailure(error, input.filesDirectory, 0);
  }
});

/** @returns false when the base is not here */
function rebuild(
  { fileLibrary, packageId }: RebuildInput,
  delta: Delta,
  { stager, throwIfAborted }: { stager: FileStager; throwIfAborted: () => void },
): boolean {
  const basePath = filePathOf(fileLibrary, delta.baseHash);
  if (!isThere(basePath, delta.baseBytes)) return false;
  const deltaPath = filePathOf(fileLibrary, delta.deltaHash);
  const file = { hash: delta.fileHash, sizeBytes: delta.fileBytes };
  const parts = function* () {
    for (const bytes of madeBytes({ delta, basePath, deltaPath })) {
      throwIfAborted();
      yield bytes;
    }
  };
  try {
    if (stager.stage(file, parts())) return true;
  } catch (error) {
    if (!isErrorWithCode(error, 'DELTA_INVALID')) throw error;
    throw invalidPackageFile(packageId, error.message);
  }
  throw invalidPackageFile(packageId, `delta ${delta.deltaHash} makes other bytes`);
}
