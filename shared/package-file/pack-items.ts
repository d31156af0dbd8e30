import { join } from 'node:path';
import { verifySignature } from '../content-library/data-library.ts';
import { filePathOf } from '../content-library/library-layout.ts';
import { openManifest } from '../content-library/manifest-reader.ts';
import { TreePath } from '../content-library/tree-path.ts';
import { VerifiedFiles } from '../content-library/verified-files.ts';
import type { ContentDescriptor, FileEntry } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import type { PackageFileRecord, RecordDelta } from './package-file-format.ts';
import { type PatchWithBytes, readPatchList } from './patch-list.ts';
import type { SortedHashes } from './sorted-hashes.ts';
import { compareLikeness, type NamedFile } from './travel-order.ts';

/** A content that is packed; somebody holds a lease on it. */
export interface PackedContent {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  readonly signaturePath: string;
  /** How its manifest can be made from one that the receiver has. */
  readonly manifestDelta?: {
    readonly base: { readonly descriptor: ContentDescriptor; readonly manifestPath: string };
    readonly delta: RecordDelta;
    readonly path: string;
  };
  /** How its files can be made from older ones. */
  readonly deltas: readonly Delta[];
  /** Where its files are, and its deltas by their hashes, when they are in no library yet. */
  readonly places?: { readonly source: string; readonly deltas: string };
}

/** What is packed, and in whose eyes. */
export interface PackSource {
  readonly fileLibrary: string;
  readonly contents: readonly PackedContent[];
  /** How small files are made from those of the base, by the hash of the file. */
  readonly patches: ReadonlyMap<string, PatchWithBytes>;
}

/** A record and the file that its bytes are read from. */
export interface PackItem {
  readonly record: PackageFileRecord;
  readonly path: string;
  readonly sizeBytes: number;
  /** Of the bytes; without, they were checked already. */
  readonly hash?: string;
  /** The bytes, when they are in memory: the file is not read then. */
  readonly bytes?: Uint8Array;
}

/** Files that are put in order together: a version of millions of files costs some 20 MiB. */
const stretchFilesMax = 65_536;

/**
 * All that goes into a package file, in its order: the manifests, then the files the receiver lacks,
 * each once, or the delta or patch that makes it. The same each time for the same source.
 *
 * @param base what the receiver has; undefined: nothing
 * @throws MANIFEST_INVALID, CONTENT_HASH_MISMATCH, CONTENT_NOT_HELD when the library is damaged
 */
export async function* packItems(
  source: PackSource,
  base: SortedHashes | undefined,
): AsyncGenerator<PackItem> {
  for (const content of source.contents) yield* manifestItems(content);
  let stretch: TravellingFile[] = [];
  for await (const file of travellingFiles(source, base)) {
    stretch.push(file);
    if (stretch.length < stretchFilesMax) continue;
    yield* inOrder(stretch);
    stretch = [];
  }
  yield* inOrder(stretch);
}

/**
 * The same contents, without the deltas of manifests whose base is not any more what it was when it
 * was kept: they would make something else.
 */
export async function withSoundManifestDeltas(
  contents: readonly PackedContent[],
): Promise<PackedContent[]> {
  const sound: PackedContent[] = [];
  for (const content of contents) {
    const { manifestDelta, ...whole } = content;
    const isSound = manifestDelta && (await isManifest(manifestDelta.base));
    sound.push(isSound ? content : whole);
  }
  return sound;
}

async function isManifest(base: {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
}): Promise<boolean> {
  try {
    await openManifest(base.manifestPath, base.descriptor).verifyHash();
    return true;
  } catch (error) {
    if (error instanceof WaybillError) return false;
    throw error;
  }
}

async function* manifestItems(content: PackedContent): AsyncGenerator<PackItem> {
  const { descriptor, signaturePath } = content;
  await verifySignature(signaturePath, descriptor);
  yield manifestItem(content);
  const sizeBytes = descriptor.signatureBytes;
  yield { record: { kind: 'signature' }, path: signaturePath, sizeBytes };
}

function manifestItem({ descriptor, manifestPath, manifestDelta }: PackedContent): PackItem {
  if (!manifestDelta) {
    const sizeBytes = descriptor.manifestBytes;
    return { record: { kind: 'manifest' }, path: manifestPath, sizeBytes };
  }
  const { base, delta, path } = manifestDelta;
  const baseContentId = base.descriptor.contentId;
  const { deltaBytes: sizeBytes, deltaHash: hash } = delta;
  return { record: { kind: 'manifest-delta', baseContentId, delta }, path, sizeBytes, hash };
}

interface TravellingFile extends NamedFile {
  readonly item: PackItem;
}

function* inOrder(stretch: TravellingFile[]): Generator<PackItem> {
  for (const { item } of stretch.sort(compareLikeness)) yield item;
}

async function* travellingFiles(
  { fileLibrary, contents, patches }: PackSource,
  base: SortedHashes | undefined,
): AsyncGenerator<TravellingFile> {
  // It forgets, when there are very many: then a file travels twice, which costs only its bytes.
  const seen = new VerifiedFiles();
  for (const [contentIndex, content] of contents.entries()) {
    const deltas = usableDeltas(content.deltas, base);
    const tree = new TreePath();
    for await (const batch of openManifest(content.manifestPath, content.descriptor).entries()) {
      for (const { entry } of batch) {
        tree.next(entry);
        if (entry.type !== 'file' || seen.has(entry.hash)) continue;
        seen.add(entry.hash);
        if (base?.has(entry.hash)) continue;
        const [delta, patch] = [deltas.get(entry.hash), patches.get(entry.hash)];
        const path = () => filePath(fileLibrary, content, entry, tree);
        const whole = () => (patch ? patchItem(patch) : fileItem(path(), entry));
        const item = delta
          ? deltaItem(deltaPath(fileLibrary, content, delta), contentIndex, delta)
          : whole();
        yield { name: entry.name, hash: entry.hash, item };
      }
    }
  }
}

function filePath(
  fileLibrary: string,
  { places }: PackedContent,
  { hash }: FileEntry,
  tree: TreePath,
): string {
  return places ? join(places.source, tree.path) : filePathOf(fileLibrary, hash);
}

function deltaPath(fileLibrary: string, { places }: PackedContent, { deltaHash }: Delta): string {
  return places ? join(places.deltas, deltaHash) : filePathOf(fileLibrary, deltaHash);
}

function fileItem(path: string, { hash, sizeBytes }: FileEntry): PackItem {
  return { record: { kind: 'file', hash, sizeBytes }, path, sizeBytes, hash };
}

function deltaItem(path: string, contentIndex: number, delta: Delta): PackItem {
  const { deltaHash: hash, deltaBytes: sizeBytes } = delta;
  return { record: { kind: 'delta', contentIndex, delta }, path, sizeBytes, hash };
}

function patchItem({ bytes, ...patch }: PatchWithBytes): PackItem {
  return { record: { kind: 'patch', patch }, path: '', sizeBytes: bytes.length, bytes };
}

/**
 * By file, the shortest patch of these lists whose base the receiver has. A file that changed in one
 * step only has its old bytes in every version before that: its patch serves all of them.
 */
export function usablePatches(
  listPaths: readonly string[],
  base: SortedHashes | undefined,
): ReadonlyMap<string, PatchWithBytes> {
  const usable = new Map<string, PatchWithBytes>();
  for (const path of base ? listPaths : []) {
    for (const patch of readPatchList(path)) {
      const best = usable.get(patch.fileHash)?.patchBytes ?? patch.fileBytes;
      if (patch.patchBytes < best && base?.has(patch.baseHash)) usable.set(patch.fileHash, patch);
    }
  }
  return usable;
}

/** By file, the shortest of those whose base the receiver has, if it is shorter than the file. */
function usableDeltas(
  deltas: readonly Delta[],
  base: SortedHashes | undefined,
): ReadonlyMap<string, Delta> {
  const usable = new Map<string, Delta>();
  for (const delta of base ? deltas : []) {
    const best = usable.get(delta.fileHash)?.deltaBytes ?? delta.fileBytes;
    if (delta.deltaBytes < best && base?.has(delta.baseHash)) usable.set(delta.fileHash, delta);
  }
  return usable;
}
