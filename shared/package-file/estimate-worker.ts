// The program of the thread that says how large a package file would become.
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { serveThreadTask } from '../content-library/thread-task.ts';
import { packItems, usablePatches, withSoundManifestDeltas } from './pack-items.ts';
import type { PackInput } from './pack-worker.ts';
import { encodeRecord, headBytes } from './package-file-format.ts';
import { type RawPart, SampledBlocks } from './sampled-blocks.ts';
import { SortedHashes } from './sorted-hashes.ts';

/** What the thread is given: what a package file would be made of. */
export interface EstimateInput extends Omit<PackInput, 'reserveBytes'> {
  /** So much of it is compressed, in bytes; if it is no more, all of it. */
  readonly sampleBytesMax: number;
}

/** How large a package file would become. */
export interface PackageFileEstimate {
  readonly fileBytes: number;
  /** What its blocks become. */
  readonly rawBytes: number;
  /** Files, deltas and patches in it. */
  readonly fileCount: number;
  /** Some of it was not looked at. */
  readonly isSampled: boolean;
}

serveThreadTask<EstimateInput, PackageFileEstimate, never>(async (input, context) => {
  const { baseHashesPath, patchPaths, fileLibrary, bundle, level, sampleBytesMax } = input;
  using base = baseHashesPath === undefined ? undefined : new SortedHashes(baseHashesPath);
  const contents = await withSoundManifestDeltas(input.contents);
  const source = { fileLibrary, contents, patches: usablePatches(patchPaths, base) };
  let [rawBytes, fileCount] = [0, 0];
  for await (const { record, sizeBytes } of packItems(source, base)) {
    context.throwIfAborted();
    rawBytes += encodeRecord(record).length + sizeBytes;
    if (isFile(record.kind)) fileCount += 1;
  }
  const blocks = new SampledBlocks({ rawBytes, sampleBytesMax, level });
  for await (const { record, path, sizeBytes, bytes } of packItems(source, base)) {
    context.throwIfAborted();
    blocks.add(inMemory(encodeRecord(record)));
    blocks.add(bytes ? inMemory(bytes) : inFile(path, sizeBytes));
  }
  const fileBytes = headBytes + bundle.length + blocks.packedBytes;
  return { fileBytes, rawBytes, fileCount, isSampled: blocks.isSampled };
});

function isFile(kind: string): boolean {
  return kind === 'file' || kind === 'delta' || kind === 'patch';
}

function inMemory(bytes: Uint8Array): RawPart {
  return {
    sizeBytes: bytes.length,
    read: (into, offset) => void into.set(bytes.subarray(offset, offset + into.length)),
  };
}

/** What cannot be read, for it is just changing, is left as the memory was. */
function inFile(path: string, sizeBytes: number): RawPart {
  const read = (into: Uint8Array, offset: number) => {
    const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
    try {
      const descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        readSync(descriptor, into, 0, into.length, offset);
      } finally {
        closeSync(descriptor);
      }
    } catch {
      // Only how well it compresses is guessed worse.
    }
  };
  return { sizeBytes, read };
}
