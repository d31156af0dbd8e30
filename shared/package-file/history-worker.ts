// The program of the thread that notes what a version consists of.
import { closeSync, copyFileSync, fsyncSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ManifestPlace } from '../content-library/changed-files.ts';
import { toWriteFailure } from '../content-library/library-failure.ts';
import { openManifest } from '../content-library/manifest-reader.ts';
import { serveThreadTask } from '../content-library/thread-task.ts';
import { makeStepPatches } from './step-patches.ts';
import {
  contentsName,
  hashesName,
  manifestName,
  patchesName,
  versionContentsText,
} from './version-history-layout.ts';

/** What the thread is given. */
export interface HistoryInput {
  readonly contents: readonly ManifestPlace[];
  /** Of the version before, when it is still in the library: patches are made against it. */
  readonly before: readonly ManifestPlace[];
  readonly fileLibrary: string;
  /** Is there and empty. */
  readonly directory: string;
  /** Longer manifests are not kept. */
  readonly manifestBytesMax: number;
}

/** Hashes that are put in order together; a larger version is gone through several times. */
const sortedTogetherMax = 262_144;

serveThreadTask<HistoryInput, void, never>(async (input, context) => {
  try {
    await writeHashes(input, () => context.throwIfAborted());
    for (const { descriptor, manifestPath } of input.contents) {
      if (descriptor.manifestBytes > input.manifestBytesMax) continue;
      const copyPath = join(input.directory, manifestName(descriptor.contentId));
      copyFileSync(manifestPath, copyPath);
      sync(copyPath);
    }
    const patches = await makeStepPatches(input, () => context.throwIfAborted());
    const patchesPath = join(input.directory, patchesName);
    writeFileSync(patchesPath, patches);
    sync(patchesPath);
    // Last: where it is, all is.
    const contentsPath = join(input.directory, contentsName);
    writeFileSync(
      contentsPath,
      versionContentsText(input.contents.map(({ descriptor }) => descriptor)),
    );
    sync(contentsPath);
    sync(input.directory);
  } catch (error) {
    throw toWriteFailure(error, input.directory, 0);
  }
});

async function writeHashes(input: HistoryInput, throwIfAborted: () => void): Promise<void> {
  const fileCount = input.contents.reduce((sum, { descriptor }) => sum + descriptor.fileCount, 0);
  const partCount = Math.max(1, Math.ceil(fileCount / sortedTogetherMax));
  const descriptor = openSync(join(input.directory, hashesName), 'w', 0o600);
  try {
    for (let part = 0; part < partCount; part++) {
      const hashes = await hashesOfPart(input, { part, partCount, throwIfAborted });
      const bytes = Buffer.from(hashes.join(''), 'hex');
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Of all hashes, those in one of equal ranges: each once, ascending. */
async function hashesOfPart(
  { contents }: HistoryInput,
  of: { part: number; partCount: number; throwIfAborted: () => void },
): Promise<string[]> {
  const found: string[] = [];
  for (const { descriptor, manifestPath } of contents) {
    for await (const batch of openManifest(manifestPath, descriptor).entries()) {
      of.throwIfAborted();
      for (const { entry } of batch) {
        if (entry.type !== 'file') continue;
        const share = Number.parseInt(entry.hash.slice(0, 12), 16) / 2 ** 48;
        if (Math.floor(share * of.partCount) === of.part) found.push(entry.hash);
      }
    }
  }
  return found.sort().filter((hash, index) => hash !== found[index - 1]);
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
