import { open } from 'node:fs/promises';
import type { ContentLibrary } from '../content-library/content-library.ts';
import { isSystemError } from '../content-library/library-failure.ts';
import type { ContentDescriptor, InlineManifest } from '../domain/content.ts';
import type { PackageVersion } from '../domain/package.ts';
import { inlineManifestBytesMax, messageBytesMax } from '../rpc/rpc-limits.ts';

/** For names and lengths of the message's fields, in bytes. */
const spareBytes = 16 * 1024;

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
  let roomBytes = messageBytesMax - spareBytes - Buffer.byteLength(JSON.stringify(version));
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
    readWhole(content.manifestPath, manifestBytes),
    readWhole(content.signaturePath, signatureBytes),
  ]);
  return manifest && signature && { contentId, manifest, signature };
}

/** Undefined when there is no such file of this length. */
async function readWhole(path: string, sizeBytes: number): Promise<Buffer | undefined> {
  if (sizeBytes === 0) return Buffer.alloc(0);
  try {
    await using file = await open(path, 'r');
    // One byte more, so that a longer one is known.
    const { bytesRead, buffer } = await file.read(Buffer.alloc(sizeBytes + 1));
    return bytesRead === sizeBytes ? buffer.subarray(0, sizeBytes) : undefined;
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
