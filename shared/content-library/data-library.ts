import { access, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type ContentDescriptor, parseContentId } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import { WaybillError } from '../domain/errors.ts';
import { type ContentFile, ContentFiles } from './content-files.ts';
import { ContentHash } from './content-hash.ts';
import { decodeDeltaList, encodeDeltaList, listBytesMax } from './delta-list.ts';
import { syncDirectories, syncFiles } from './file-system-sync.ts';
import { isSystemError, toWriteFailure } from './library-failure.ts';
import { deltasPathOf, manifestPathOf, signaturePathOf } from './library-layout.ts';
import { type ManifestReader, openManifest } from './manifest-reader.ts';
import { type ManifestSource, openSource } from './manifest-source.ts';

/** A content whose manifest and signature wait to be taken into the library. */
export interface StagedContent {
  readonly contentId: string;
  readonly manifestPath: string;
  readonly signaturePath: string;
}

/** The manifests and signatures of contents. */
export class DataLibrary {
  readonly #directory: string;
  readonly #contentFiles = new ContentFiles();

  constructor(directory: string) {
    this.#directory = directory;
  }

  manifestPathOf(contentId: string): string {
    return manifestPathOf(this.#directory, contentId);
  }

  signaturePathOf(contentId: string): string {
    return signaturePathOf(this.#directory, contentId);
  }

  /** The reader of a content's manifest. */
  open(descriptor: ContentDescriptor): ManifestReader {
    return openManifest(this.manifestPathOf(descriptor.contentId), descriptor);
  }

  /**
   * The files of a content, by its manifest here or this one.
   *
   * @throws CONTENT_NOT_HELD, MANIFEST_INVALID, CONTENT_HASH_MISMATCH
   */
  readFiles(
    descriptor: ContentDescriptor,
    source: ManifestSource = this.manifestPathOf(descriptor.contentId),
  ): AsyncGenerator<readonly ContentFile[]> {
    return this.#contentFiles.read(descriptor, source);
  }

  /**
   * The same, of a manifest that was read a moment ago and whose files may be remembered still: then
   * it is not read again.
   */
  filesOf(
    descriptor: ContentDescriptor,
  ): Iterable<readonly ContentFile[]> | AsyncIterable<readonly ContentFile[]> {
    return this.#contentFiles.recall(descriptor) ?? this.readFiles(descriptor);
  }

  /** Work on a content has ended: it will not be read again soon. */
  endWork(descriptor: ContentDescriptor): void {
    this.#contentFiles.forget(descriptor);
  }

  /**
   * Where the manifest and signature of a content are now: staged, or here already, when an
   * earlier try came that far.
   */
  async locate(descriptor: ContentDescriptor, staged?: StagedContent): Promise<StagedContent> {
    const { contentId } = descriptor;
    const held = {
      contentId,
      manifestPath: this.manifestPathOf(contentId),
      signaturePath: this.signaturePathOf(contentId),
    };
    if (!staged) return held;
    const [hasManifest, hasSignature] = await Promise.all([
      isThere(staged.manifestPath),
      isThere(staged.signaturePath),
    ]);
    return {
      contentId,
      manifestPath: hasManifest ? staged.manifestPath : held.manifestPath,
      signaturePath: hasSignature ? staged.signaturePath : held.signaturePath,
    };
  }

  /**
   * Makes the bytes of manifests and signatures durable where they are. What could not be made so is
   * not staged any more: a disk tells only once that it lost bytes, and reads them well from memory.
   */
  async sync(contents: readonly StagedContent[]): Promise<void> {
    const paths = contents.flatMap((content) => [content.manifestPath, content.signaturePath]);
    try {
      await syncFiles(this.#directory, paths);
    } catch (error) {
      const staged = paths.filter((path) => dirname(path) !== this.#directory);
      for (const path of staged) await rm(path, { force: true });
      throw toWriteFailure(error, this.#directory, 0);
    }
  }

  /** Renames verified manifests and signatures, which are durable, to their places. */
  async adopt(contents: readonly StagedContent[]): Promise<void> {
    try {
      for (const { contentId, manifestPath, signaturePath } of contents) {
        // The signature first: where there is a manifest, there is its signature.
        await rename(signaturePath, this.signaturePathOf(contentId));
        await rename(manifestPath, this.manifestPathOf(contentId));
      }
      await syncDirectories(this.#directory, [this.#directory]);
    } catch (error) {
      throw toWriteFailure(error, this.#directory, 0);
    }
  }

  /** The deltas a content lists: [] without a list, undefined when that is damaged. */
  async readDeltas(contentId: string): Promise<readonly Delta[] | undefined> {
    const path = deltasPathOf(this.#directory, contentId);
    try {
      if ((await stat(path)).size > listBytesMax) return undefined;
      return decodeDeltaList(contentId, await readFile(path, 'utf8'));
    } catch (error) {
      // A disk that cannot read it back is as bad as one that reads other bytes.
      if (isSystemError(error, 'EIO')) return undefined;
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }

  /**
   * Lists the deltas of a content, in place of what it listed; durable when this resolves.
   *
   * @returns those that are listed: as many as a list takes
   * @throws DISK_FULL
   */
  async writeDeltas(contentId: string, deltas: readonly Delta[]): Promise<readonly Delta[]> {
    const path = deltasPathOf(this.#directory, contentId);
    const text = encodeDeltaList(contentId, deltas);
    try {
      await writeFile(`${path}.part`, text);
      await syncFiles(this.#directory, [`${path}.part`]);
      await rename(`${path}.part`, path);
      await syncDirectories(this.#directory, [this.#directory]);
    } catch (error) {
      await rm(`${path}.part`, { force: true });
      throw toWriteFailure(error, this.#directory, text.length);
    }
    return decodeDeltaList(contentId, text) ?? [];
  }

  /** Deletes a content's manifest, then what belongs to it; fine when there is none. */
  async remove(contentId: string): Promise<void> {
    await rm(this.manifestPathOf(contentId), { force: true });
    await rm(this.signaturePathOf(contentId), { force: true });
    const deltasPath = deltasPathOf(this.#directory, contentId);
    for (const path of [deltasPath, `${deltasPath}.part`]) await rm(path, { force: true });
  }

  /** The contents something is here of, whole or not. */
  async listContentIds(): Promise<string[]> {
    const names = await readdir(this.#directory);
    const ids = names.map((name) =>
      name.replace(/\.(manifest|signature|deltas|deltas\.part)$/, ''),
    );
    return [...new Set(ids)].filter((id) => parseContentId(id) !== undefined).sort();
  }
}

const chunkBytes = 1024 * 1024;

/**
 * Reads a signature blob to its end.
 *
 * @throws CONTENT_NOT_HELD when there is no such file
 * @throws MANIFEST_INVALID or CONTENT_HASH_MISMATCH when it is not the one the descriptor names
 */
export async function verifySignature(
  source: ManifestSource,
  expected: ContentDescriptor,
): Promise<void> {
  const { contentId, signatureHash: expectedHash } = expected;
  const actualHash = await signatureHashOf(source, expected);
  if (actualHash !== expectedHash) {
    throw new WaybillError({ code: 'CONTENT_HASH_MISMATCH', contentId, expectedHash, actualHash });
  }
}

async function signatureHashOf(
  source: ManifestSource,
  { contentId, signatureBytes }: ContentDescriptor,
): Promise<string> {
  const hash = new ContentHash();
  await using signature = await openSource(source).catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT')) throw error;
    throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId }, { cause: error });
  });
  const isWhole = (await signature.sizeBytes()) === signatureBytes;
  let offset = 0;
  while (isWhole && offset < signatureBytes) {
    const chunk = await signature.read(offset, Math.min(chunkBytes, signatureBytes - offset));
    if (chunk.length === 0) break;
    hash.update(chunk);
    offset += chunk.length;
  }
  if (isWhole && offset === signatureBytes) return hash.digest();
  const reason = `the signature has not ${signatureBytes} bytes`;
  throw new WaybillError({ code: 'MANIFEST_INVALID', contentId, line: 0, reason });
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
