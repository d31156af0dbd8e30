import {
  type ChangedFile,
  changedFiles,
  type ManifestPlace,
} from '../content-library/changed-files.ts';
import { hashOf } from '../content-library/content-hash.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { mayHaveDelta } from '../delta/delta-maker.ts';
import { SmallDeltaMaker } from '../delta/small-delta.ts';
import type { FileEntry } from '../domain/content.ts';
import { contentNameOf } from '../domain/content-location.ts';
import { packBlock } from './block-packing.ts';
import { patchedFileBytesMax } from './package-file-format.ts';
import { PatchListBuilder, type PatchWithBytes } from './patch-list.ts';
import { readSmallFile } from './small-file.ts';

/** How much is done for one step at most. */
export interface StepPatchesConfig {
  /** Files that get a patch. @default 5_000 */
  readonly patchCountMax: number;
  /** Bytes of files and bases that are read. @default 512 MiB */
  readonly readBytesMax: number;
  /** Smaller files get none. @default 256 bytes */
  readonly fileBytesMin: number;
}

const patchCountMax = 5_000;
const readBytesMax = 512 * 1024 * 1024;
const fileBytesMin = 256;

/** As documented at each. */
export const defaultStepPatchesConfig: StepPatchesConfig = {
  patchCountMax,
  readBytesMax,
  fileBytesMin,
};

/** A step from one version to the next. The content of both is in the library, and kept. */
export interface VersionStep {
  readonly before: readonly ManifestPlace[];
  readonly contents: readonly ManifestPlace[];
  readonly fileLibrary: string;
}

/** A patch has to be shorter than its file compressed by so much: what it needs beside its bytes. */
const patchExtraBytes = 48;

/** What patches are compared with: what a file takes when it travels whole. */
const compressionLevel = 3;

/**
 * Makes the patches of a step: how small files are made from those whose place they took. Larger files
 * have deltas in the library. Blocks; what the library has lost, or damaged, gets none.
 *
 * @returns the list, as it is to be written
 */
export async function makeStepPatches(
  step: VersionStep,
  throwIfAborted: () => void,
  config: StepPatchesConfig = defaultStepPatchesConfig,
): Promise<Buffer> {
  const list = new PatchListBuilder();
  const maker = new SmallDeltaMaker();
  let [patchCount, readBytes] = [0, 0];
  for await (const changed of smallChangedFiles(step, config)) {
    throwIfAborted();
    readBytes += changed.base.sizeBytes + changed.file.sizeBytes;
    if (readBytes > config.readBytesMax) break;
    const patch = patchOf(step.fileLibrary, changed, maker);
    if (!patch) continue;
    patchCount += 1;
    if (!list.add(patch) || patchCount >= config.patchCountMax) break;
  }
  return list.finish();
}

async function* smallChangedFiles(
  { before, contents }: VersionStep,
  { fileBytesMin }: StepPatchesConfig,
): AsyncGenerator<ChangedFile> {
  const seen = new Set<string>();
  for (const after of contents) {
    const { contentId } = after.descriptor;
    const older = before.find(({ descriptor }) => isOlder(descriptor.contentId, contentId));
    if (!older) continue;
    for await (const changed of changedFiles(older, after)) {
      const { base, file } = changed;
      const sizes = { baseBytes: base.sizeBytes, fileBytes: file.sizeBytes };
      const isSmall = Math.max(base.sizeBytes, file.sizeBytes) <= patchedFileBytesMax;
      if (!isSmall || mayHaveDelta(sizes) || file.sizeBytes < fileBytesMin) continue;
      if (seen.has(file.hash)) continue;
      seen.add(file.hash);
      yield changed;
    }
  }
}

function isOlder(beforeId: string, contentId: string): boolean {
  return beforeId !== contentId && contentNameOf(beforeId) === contentNameOf(contentId);
}

function patchOf(
  fileLibrary: string,
  changed: ChangedFile,
  maker: SmallDeltaMaker,
): PatchWithBytes | undefined {
  const base = readSound(fileLibrary, changed.base);
  const file = base && readSound(fileLibrary, changed.file);
  if (!base || !file) return undefined;
  const subject = {
    ...{ fileHash: changed.file.hash, fileBytes: file.length },
    ...{ baseHash: changed.base.hash, baseBytes: base.length },
  };
  const bytes = maker.make(subject, base, file);
  if (!bytes || bytes.length + patchExtraBytes >= file.length) return undefined;
  const wholeBytes = packBlock(file, compressionLevel)?.length ?? file.length;
  if (bytes.length + patchExtraBytes >= wholeBytes) return undefined;
  return { ...subject, patchBytes: bytes.length, bytes };
}

/** A file of the library; undefined when it is not here, or its bytes are others. */
function readSound(fileLibrary: string, { hash, sizeBytes }: FileEntry): Buffer | undefined {
  const bytes = readSmallFile(filePathOf(fileLibrary, hash), sizeBytes);
  return bytes && hashOf(bytes) === hash ? bytes : undefined;
}
