import { open } from 'node:fs/promises';

/** Where a manifest, or a signature, is: the path of its file, or its bytes in memory. */
export type ManifestSource = string | Uint8Array;

/** A manifest or a signature that is being read. */
export interface OpenSource extends AsyncDisposable {
  sizeBytes(): Promise<number>;
  /** Up to so many bytes from a position on: fewer at the end. */
  read(offset: number, lengthMax: number): Promise<Buffer>;
}

/** @throws what opening a file throws */
export async function openSource(source: ManifestSource): Promise<OpenSource> {
  return typeof source === 'string' ? openFile(source) : openBytes(source);
}

async function openFile(path: string): Promise<OpenSource> {
  const file = await open(path, 'r');
  return {
    sizeBytes: async () => (await file.stat()).size,
    read: async (offset, lengthMax) => {
      const bytes = Buffer.allocUnsafe(lengthMax);
      const { bytesRead } = await file.read(bytes, 0, lengthMax, offset);
      return bytes.subarray(0, bytesRead);
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

function openBytes({ buffer, byteOffset, length }: Uint8Array): OpenSource {
  const bytes = Buffer.from(buffer, byteOffset, length);
  return {
    sizeBytes: async () => length,
    read: async (offset, lengthMax) => bytes.subarray(offset, offset + lengthMax),
    [Symbol.asyncDispose]: async () => {},
  };
}
