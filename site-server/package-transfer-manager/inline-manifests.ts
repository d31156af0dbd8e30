import { readFile } from 'node:fs/promises';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { isSystemError } from '../../shared/content-library/library-failure.ts';
import {
  type ContentDescriptor,
  type InlineManifest,
  pieceBytes,
} from '../../shared/domain/content.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { inlineManifestBytesMax } from '../../shared/rpc/rpc-limits.ts';

/**
 * The manifests that travel inside Begin: of the small contents of a version, as many as fit beside
 * the rest of the message. One that is lost, or has not its length any more, is left out: who reads
 * it in its turn finds out.
 *
 * @throws CONTENT_NOT_HELD
 */
export async function inlineManifests(
  library: Pick<ContentLibrary, 'openContent'>,
  version: PackageVersion,
): Promise<InlineManifest[]> {
  const manifests: InlineManifest[] = [];
  // The version takes more room as JSON than in the message.
  let roomBytes = pieceBytes - Buffer.byteLength(JSON.stringify(version));
  for (const content of version.contents) {
    const sizeBytes = content.manifestBytes + content.signatureBytes;
    if (sizeBytes > Math.min(roomBytes, inlineManifestBytesMax)) continue;
    const manifest = await inlineManifest(library, content);
    if (!manifest) continue;
    manifests.push(manifest);
    roomBytes -= sizeBytes;
  }
  return manifests;
}

async function inlineManifest(
  library: Pick<ContentLibrary, 'openContent'>,
  { contentId, manifestBytes, signatureBytes }: ContentDescriptor,
): Promise<InlineManifest | undefined> {
  await using content = await library.openContent(contentId);
  const [manifest, signature] = await Promise.all([
    readOrNothing(content.manifestPath),
    signatureBytes > 0 ? readOrNothing(content.signaturePath) : noBytes,
  ]);
  const isWhole = manifest.length === manifestBytes && signature.length === signatureBytes;
  return isWhole ? { contentId, manifest, signature } : undefined;
}

const noBytes = Buffer.alloc(0);

async function readOrNothing(path: string): Promise<Buffer> {
  return readFile(path).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return noBytes;
    throw error;
  });
}
