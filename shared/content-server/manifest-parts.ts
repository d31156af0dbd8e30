import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isSystemError } from '../content-library/library-failure.ts';
import type { ContentDescriptor } from '../domain/content.ts';
import { type ContentName, notHeld } from './content-name.ts';
import type { HeldContents } from './held-contents.ts';

/** Bytes of one part. */
const partBytesMax = 1024 * 1024;

/** A manifest and its signature, open: they can be read whatever becomes of their names. */
interface OpenManifest {
  readonly files: readonly { readonly handle: FileHandle; readonly sizeBytes: number }[];
}

/** A range of the bytes of a manifest and its signature, one behind the other. */
export interface ManifestRange {
  readonly offsetBytes: number;
  readonly bytesMax: number;
}

const allOfIt: ManifestRange = { offsetBytes: 0, bytesMax: Number.POSITIVE_INFINITY };

/**
 * The manifest of a content, then its signature, in parts of at most 1 MiB. No part has bytes of both.
 *
 * @param range of these bytes; what lies behind their end is nothing
 * @throws CONTENT_NOT_HELD when the very content is neither in the library nor arriving, or is damaged
 */
export async function* manifestParts(
  held: HeldContents,
  name: ContentName,
  range = allOfIt,
): AsyncGenerator<Buffer> {
  const { files } = await openManifest(held, name);
  const endBytes = range.offsetBytes + range.bytesMax;
  try {
    let firstBytes = 0;
    for (const { handle, sizeBytes } of files) {
      const start = Math.max(0, range.offsetBytes - firstBytes);
      const end = Math.min(sizeBytes, endBytes - firstBytes);
      yield* partsOf(handle, { start, end }, name);
      firstBytes += sizeBytes;
    }
  } finally {
    for (const { handle } of files) await handle.close();
  }
}

async function openManifest(held: HeldContents, name: ContentName): Promise<OpenManifest> {
  const opened =
    (await openHeld(held, name)) ??
    (await openArriving(held, name)) ??
    // What arrived a moment ago is committed now.
    (await openHeld(held, name));
  if (!opened) throw notHeld(name);
  return opened;
}

async function openHeld(held: HeldContents, name: ContentName): Promise<OpenManifest | undefined> {
  await using reader = await held.open(name);
  return reader && openBoth(reader);
}

async function openArriving(
  held: HeldContents,
  name: ContentName,
): Promise<OpenManifest | undefined> {
  const content = held.findArriving(name);
  return content && openBoth(content);
}

/** Undefined when one of them is not there, or not of the length it must have. */
async function openBoth(content: {
  readonly descriptor: ContentDescriptor;
  readonly manifestPath: string;
  readonly signaturePath: string;
}): Promise<OpenManifest | undefined> {
  const { manifestBytes, signatureBytes } = content.descriptor;
  const manifest = await openOfSize(content.manifestPath, manifestBytes);
  if (!manifest) return undefined;
  const signature = await openOfSize(content.signaturePath, signatureBytes).catch(
    async (error: unknown) => {
      await manifest.close();
      throw error;
    },
  );
  if (!signature) {
    await manifest.close();
    return undefined;
  }
  const files = [
    { handle: manifest, sizeBytes: manifestBytes },
    { handle: signature, sizeBytes: signatureBytes },
  ];
  return { files };
}

async function openOfSize(path: string, sizeBytes: number): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const handle = await open(path, flags).catch((error: unknown) => {
    if (!isSystemError(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) throw error;
  });
  if (!handle) return undefined;
  const found = await handle.stat();
  if (found.isFile() && found.size === sizeBytes) return handle;
  await handle.close();
  return undefined;
}

async function* partsOf(
  handle: FileHandle,
  { start, end }: { readonly start: number; readonly end: number },
  name: ContentName,
): AsyncGenerator<Buffer> {
  for (let offset = start; offset < end; ) {
    const part = Buffer.allocUnsafe(Math.min(partBytesMax, end - offset));
    const { bytesRead } = await handle.read(part, 0, part.length, offset);
    // It was cut while it was read.
    if (bytesRead === 0) throw notHeld(name);
    yield part.subarray(0, bytesRead);
    offset += bytesRead;
  }
}
