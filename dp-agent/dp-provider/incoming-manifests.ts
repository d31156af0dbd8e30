import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ContentHash } from '../../shared/content-library/content-hash.ts';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { manifestPathOf, signaturePathOf } from '../../shared/content-library/library-layout.ts';
import { openManifest } from '../../shared/content-library/manifest-reader.ts';
import type { ContentDescriptor } from '../../shared/domain/content.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { BegunAction } from './package-actions.ts';

/** Where the manifest and the signature of a content lie. */
export interface ManifestFiles {
  readonly contentId: string;
  readonly manifestPath: string;
  readonly signaturePath: string;
}

/**
 * Manifests and signatures that are arriving. Writes `staging/<PackageID>/<ContentID>.manifest`
 * and `.signature`; a file under that name is whole and has its hash. A crash leaves them for the
 * next Begin.
 */
export class IncomingManifests {
  readonly #library: ContentLibrary;

  constructor(library: ContentLibrary) {
    this.#library = library;
  }

  /** Where a content's manifest is: staged, or in the library already; undefined when neither. */
  async find(action: BegunAction, content: ContentDescriptor): Promise<ManifestFiles | undefined> {
    const staged = this.#stagedFiles(action, content.contentId);
    if (await exist(staged)) return staged;
    const held = await this.#library.getPackage(action.packageId);
    const same = held?.contents.find(
      ({ contentId, contentHash }) =>
        contentId === content.contentId && contentHash === content.contentHash,
    );
    return same ? this.#heldFiles(content.contentId) : undefined;
  }

  /** The manifests that arrived for this action, to be committed with it. */
  async staged(action: BegunAction): Promise<ManifestFiles[]> {
    const files = action.version.contents.map(({ contentId }) =>
      this.#stagedFiles(action, contentId),
    );
    const found = await Promise.all(files.map(exist));
    return files.filter((_, index) => found[index]);
  }

  /**
   * Writes one content's manifest and signature and checks every line before they get their name.
   *
   * @throws MANIFEST_INVALID, CONTENT_HASH_MISMATCH, MESSAGE_INVALID when the lengths differ
   */
  async receive(
    action: BegunAction,
    content: ContentDescriptor,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const staged = this.#stagedFiles(action, content.contentId);
    await mkdir(this.#library.stagingDirectoryOf(action.packageId), { recursive: true });
    const partial: ManifestFiles = {
      contentId: content.contentId,
      manifestPath: `${staged.manifestPath}.${action.jobSerial}.part`,
      signaturePath: `${staged.signaturePath}.${action.jobSerial}.part`,
    };
    try {
      await writeBoth(partial, content, chunks);
      await checkAll(partial, content);
      await rename(partial.signaturePath, staged.signaturePath);
      await rename(partial.manifestPath, staged.manifestPath);
    } finally {
      await rm(partial.manifestPath, { force: true });
      await rm(partial.signaturePath, { force: true });
    }
  }

  /** Forgets what arrived for a package. */
  async discard(packageId: string): Promise<void> {
    await rm(this.#library.stagingDirectoryOf(packageId), { recursive: true, force: true });
  }

  #heldFiles(contentId: string): ManifestFiles {
    const { dataLibrary } = this.#library.layout;
    const manifestPath = manifestPathOf(dataLibrary, contentId);
    return { contentId, manifestPath, signaturePath: signaturePathOf(dataLibrary, contentId) };
  }

  /** The content may change between versions under one staging folder, so its hash is in the name. */
  #stagedFiles(action: BegunAction, contentId: string): ManifestFiles {
    const directory = this.#library.stagingDirectoryOf(action.packageId);
    const { contentHash } = requireContent(action, contentId);
    const stem = join(directory, `${contentId}.${contentHash}`);
    return { contentId, manifestPath: `${stem}.manifest`, signaturePath: `${stem}.signature` };
  }
}

/** The descriptor of one content of the action's package. @throws CONTENT_NOT_HELD */
export function requireContent(action: BegunAction, contentId: string): ContentDescriptor {
  const content = action.version.contents.find((one) => one.contentId === contentId);
  if (!content) throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
  return content;
}

async function writeBoth(
  files: ManifestFiles,
  content: ContentDescriptor,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const manifest = await open(files.manifestPath, 'w', 0o600);
  const signature = await open(files.signaturePath, 'w', 0o600);
  try {
    const manifestEnd = content.manifestBytes;
    const end = manifestEnd + content.signatureBytes;
    let offset = 0;
    for await (const chunk of chunks) {
      if (offset + chunk.length > end) throw wrongLength(end, `at least ${offset + chunk.length}`);
      const split = Math.min(chunk.length, Math.max(0, manifestEnd - offset));
      await writeAll(manifest, chunk.subarray(0, split));
      await writeAll(signature, chunk.subarray(split));
      offset += chunk.length;
    }
    if (offset !== end) throw wrongLength(end, String(offset));
  } finally {
    await manifest.close();
    await signature.close();
  }
}

function wrongLength(expected: number, actual: string): WaybillError {
  return new WaybillError({
    code: 'MESSAGE_INVALID',
    field: 'manifest and signature',
    expected: `${expected} bytes`,
    actual: `${actual} bytes`,
  });
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  if (bytes.length > 0) await file.writeFile(bytes);
}

/** Every line of the manifest, and the signature against its hash. */
async function checkAll(files: ManifestFiles, content: ContentDescriptor): Promise<void> {
  await openManifest(files.manifestPath, content).verify();
  const hash = new ContentHash();
  await using signature = await open(files.signaturePath, 'r');
  const chunk = Buffer.allocUnsafe(256 * 1024);
  for (;;) {
    const { bytesRead } = await signature.read(chunk, 0, chunk.length);
    if (bytesRead === 0) break;
    hash.update(chunk.subarray(0, bytesRead));
  }
  const actualHash = hash.digest();
  const { contentId, signatureHash: expectedHash } = content;
  if (actualHash === expectedHash) return;
  throw new WaybillError({ code: 'CONTENT_HASH_MISMATCH', contentId, expectedHash, actualHash });
}

async function exist(files: ManifestFiles): Promise<boolean> {
  const found = await Promise.all(
    [files.manifestPath, files.signaturePath].map((path) => stat(path).catch(() => undefined)),
  );
  return found.every((one) => one !== undefined);
}
