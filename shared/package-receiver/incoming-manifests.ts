import { type FileHandle, mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentLibrary } from '../content-library/content-library.ts';
import { verifySignature } from '../content-library/data-library.ts';
import { toWriteFailure } from '../content-library/library-failure.ts';
import { manifestPathOf, signaturePathOf } from '../content-library/library-layout.ts';
import type { ContentDescriptor, InlineManifest } from '../domain/content.ts';
import { isErrorWithCode, WaybillError } from '../domain/errors.ts';
import type { BegunAction } from './package-actions.ts';

/** Where the manifest and the signature of a content lie. */
export interface ManifestFiles {
  readonly contentId: string;
  readonly manifestPath: string;
  readonly signaturePath: string;
}

type ManifestLibrary = Pick<
  ContentLibrary,
  'getPackage' | 'stagingDirectoryOf' | 'layout' | 'readFiles'
>;

/**
 * Manifests and signatures that are arriving. Writes `staging/<PackageID>/<ContentID>.<hash>.manifest`
 * and `.signature`; files under these names were whole and had their hashes when they got them. A
 * crash leaves them for the next Begin; who reads them finds out whether a power cut damaged them.
 */
export class IncomingManifests {
  readonly #library: ManifestLibrary;
  /** Contents whose manifest in the library was found damaged: it has to come again. */
  readonly #distrusted = new Set<string>();
  #receivedCount = 0;

  constructor(library: ManifestLibrary) {
    this.#library = library;
  }

  /** Work on a package begins: as long as it goes on, the library sweeps nothing it brings. */
  async begin(packageId: string): Promise<void> {
    await mkdir(this.#library.stagingDirectoryOf(packageId), { recursive: true });
  }

  /** Where a content's manifest is: staged, or in the library already; undefined when neither. */
  async find(action: BegunAction, content: ContentDescriptor): Promise<ManifestFiles | undefined> {
    const staged = this.#stagedFiles(action, content);
    if (await exist(staged)) return staged;
    // A redistribution repairs a library: nothing in it is believed.
    if (action.redistribute || this.#distrusted.has(nameOf(content))) return undefined;
    const held = await this.#library.getPackage(action.packageId);
    const isHeld = held?.contents.some((one) => nameOf(one) === nameOf(content));
    return isHeld ? this.#heldFiles(content.contentId) : undefined;
  }

  /** Whether a content's manifest and signature are here, and as they must be. */
  async isHere(action: BegunAction, content: ContentDescriptor): Promise<boolean> {
    const found = await this.find(action, content);
    if (!found) return false;
    try {
      for await (const _ of this.#library.readFiles(content, found.manifestPath));
      await verifySignature(found.signaturePath, content);
      return true;
    } catch (error) {
      const isUnsound = isErrorWithCode(error, 'MANIFEST_INVALID', 'CONTENT_HASH_MISMATCH');
      if (isUnsound || isErrorWithCode(error, 'CONTENT_NOT_HELD')) return false;
      throw error;
    }
  }

  /** The manifests that arrived for this action, to be committed with it. */
  async staged(action: BegunAction): Promise<ManifestFiles[]> {
    const files = action.version.contents.map((content) => this.#stagedFiles(action, content));
    const found = await Promise.all(files.map(exist));
    return files.filter((_, index) => found[index]);
  }

  /**
   * Writes one content's manifest and signature and checks them, every line unless that very
   * manifest was read before, before they get their names.
   *
   * @param inTurn runs the last step, which gives them their names, when nothing else reads them
   * @throws MANIFEST_INVALID, CONTENT_HASH_MISMATCH; MESSAGE_INVALID when the lengths differ;
   *   DISK_FULL
   */
  async receive(
    action: BegunAction,
    content: ContentDescriptor,
    chunks: AsyncIterable<Uint8Array>,
    inTurn: (step: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const write = async (partial: ManifestFiles) => {
      await writeParts(partial, content, chunks);
      for await (const _ of this.#library.readFiles(content, partial.manifestPath));
      await verifySignature(partial.signaturePath, content);
    };
    await this.#stage(action, content, { write, inTurn });
  }

  /**
   * The same for one that is in memory whole, which is checked before anything is written. It takes
   * the place of one that is staged: to be called when nothing else reads that.
   */
  async receiveInline(
    action: BegunAction,
    content: ContentDescriptor,
    { manifest, signature }: InlineManifest,
  ): Promise<void> {
    for await (const _ of this.#library.readFiles(content, manifest));
    await verifySignature(signature, content);
    const write = async ({ manifestPath, signaturePath }: ManifestFiles) => {
      await Promise.all([
        writeFile(manifestPath, manifest, fileMode),
        writeFile(signaturePath, signature, fileMode),
      ]);
    };
    await this.#stage(action, content, { write, inTurn: (step) => step() });
  }

  /** @param steps.write brings both, whole and checked */
  async #stage(
    action: BegunAction,
    content: ContentDescriptor,
    steps: {
      write: (partial: ManifestFiles) => Promise<void>;
      inTurn: (step: () => Promise<void>) => Promise<void>;
    },
  ): Promise<void> {
    const staged = this.#stagedFiles(action, content);
    const directory = this.#library.stagingDirectoryOf(action.packageId);
    const partial = this.#partialFiles(staged);
    try {
      await mkdir(directory, { recursive: true });
      await steps.write(partial);
      await steps.inTurn(async () => {
        await rename(partial.signaturePath, staged.signaturePath);
        await rename(partial.manifestPath, staged.manifestPath);
      });
    } catch (error) {
      await remove(partial);
      throw toWriteFailure(error, directory, content.manifestBytes + content.signatureBytes);
    }
  }

  /** A content's manifest or signature was found damaged: the next Begin asks for both again. */
  async distrust(action: BegunAction, content: ContentDescriptor): Promise<void> {
    this.#distrusted.add(nameOf(content));
    await remove(this.#stagedFiles(action, content));
  }

  /** Forgets what arrived for a package. */
  async discard(packageId: string): Promise<void> {
    await rm(this.#library.stagingDirectoryOf(packageId), { recursive: true, force: true });
  }

  /** What arrived for these contents is in the library now. */
  trust(contents: readonly ContentDescriptor[]): void {
    for (const content of contents) this.#distrusted.delete(nameOf(content));
  }

  #heldFiles(contentId: string): ManifestFiles {
    const { dataLibrary } = this.#library.layout;
    const manifestPath = manifestPathOf(dataLibrary, contentId);
    return { contentId, manifestPath, signaturePath: signaturePathOf(dataLibrary, contentId) };
  }

  #stagedFiles({ packageId }: BegunAction, content: ContentDescriptor): ManifestFiles {
    const stem = join(this.#library.stagingDirectoryOf(packageId), nameOf(content));
    const { contentId } = content;
    return { contentId, manifestPath: `${stem}.manifest`, signaturePath: `${stem}.signature` };
  }

  /** Names of their own for each call: two that bring the same never write into one file. */
  #partialFiles({ contentId, manifestPath, signaturePath }: ManifestFiles): ManifestFiles {
    this.#receivedCount += 1;
    const suffix = `${this.#receivedCount}.part`;
    return {
      contentId,
      manifestPath: `${manifestPath}.${suffix}`,
      signaturePath: `${signaturePath}.${suffix}`,
    };
  }
}

/** The descriptor of one content of the action's package. @throws CONTENT_NOT_HELD */
export function requireContent(action: BegunAction, contentId: string): ContentDescriptor {
  const content = action.version.contents.find((one) => one.contentId === contentId);
  if (!content) throw new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
  return content;
}

/** Versions of one name differ in their hashes: one never takes the other's place. */
function nameOf({ contentId, contentHash, signatureHash }: ContentDescriptor): string {
  return `${contentId}.${contentHash}.${signatureHash}`;
}

/** Only the agent reads what is not checked yet. */
const fileMode = { mode: 0o600 };

async function writeParts(
  files: ManifestFiles,
  content: ContentDescriptor,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  await using manifest = await open(files.manifestPath, 'w', fileMode.mode);
  await using signature = await open(files.signaturePath, 'w', fileMode.mode);
  const manifestEnd = content.manifestBytes;
  const end = manifestEnd + content.signatureBytes;
  let offset = 0;
  for await (const chunk of chunks) {
    if (offset + chunk.length > end) throw wrongLength(end, `at least ${offset + chunk.length}`);
    const split = Math.min(chunk.length, Math.max(0, manifestEnd - offset));
    await append(manifest, chunk.subarray(0, split));
    await append(signature, chunk.subarray(split));
    offset += chunk.length;
  }
  if (offset !== end) throw wrongLength(end, String(offset));
}

function wrongLength(expected: number, actual: string): WaybillError {
  return new WaybillError({
    code: 'MESSAGE_INVALID',
    field: 'manifest and signature',
    expected: `${expected} bytes`,
    actual: `${actual} bytes`,
  });
}

async function append(file: FileHandle, bytes: Uint8Array): Promise<void> {
  if (bytes.length > 0) await file.writeFile(bytes);
}

async function remove({ manifestPath, signaturePath }: ManifestFiles): Promise<void> {
  await rm(manifestPath, { force: true });
  await rm(signaturePath, { force: true });
}

async function exist({ manifestPath, signaturePath }: ManifestFiles): Promise<boolean> {
  const found = await Promise.all(
    [manifestPath, signaturePath].map((path) => stat(path).catch(() => undefined)),
  );
  return found.every((one) => one !== undefined);
}
