import { readFile } from 'node:fs/promises';
import { pieceBytes } from '../../domain/content.ts';
import { AbortError } from '../../runtime/abort-error.ts';
import type { TestLibrary } from '../../testing/test-library.ts';
import type { FetchRequest, FetchResponse } from '../content-messages.ts';
import type { ContentChannel } from '../source-connection.ts';

/**
 * A channel to a source that serves the contents of a library of this process.
 *
 * @param tamper what becomes of bytes on their way
 */
export function libraryChannel(
  { library }: TestLibrary,
  tamper: (data: Buffer) => Buffer = (data) => data,
): ContentChannel {
  async function bytesOf(hash: unknown, sizeBytes: unknown): Promise<Buffer> {
    const name = (hash as Buffer).toString('hex');
    const handle = await library.openFile({ hash: name, sizeBytes: Number(sizeBytes) });
    try {
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  }

  async function respond({ piece, files }: FetchRequest): Promise<FetchResponse> {
    if (piece) {
      const pieceIndex = Number(piece.pieceIndex);
      const bytes = await bytesOf(piece.fileHash, piece.fileBytes);
      const data = bytes.subarray(pieceIndex * pieceBytes, (pieceIndex + 1) * pieceBytes);
      const fileHash = piece.fileHash as Buffer;
      return { body: 'piece', piece: { fileHash, pieceIndex, data: tamper(Buffer.from(data)) } };
    }
    const found = [];
    for (const { fileHash, fileBytes } of files?.files ?? []) {
      const data = tamper(Buffer.from(await bytesOf(fileHash, fileBytes)));
      found.push({ fileHash: fileHash as Buffer, data });
    }
    return { body: 'files', files: { files: found } };
  }

  async function* manifest(contentId: string) {
    await using content = await library.openContent(contentId);
    yield { chunk: await readFile(content.manifestPath) };
    yield { chunk: await readFile(content.signaturePath) };
  }

  async function* holdings(signal: AbortSignal) {
    yield { complete: true, firstUnit: '0', units: Buffer.alloc(0) };
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    throw new AbortError();
  }

  const channel = {
    serverStream: (
      method: string,
      { content }: { content: { contentId: string } },
      { signal }: { signal: AbortSignal },
    ) => (method === 'getManifest' ? manifest(content.contentId) : holdings(signal)),
    duplex: () => {
      let answer: Promise<FetchResponse> | undefined;
      return {
        write: async (request: FetchRequest) => {
          answer = respond(request);
        },
        read: () => answer,
        end: () => {},
        cancel: () => {},
      };
    },
    whenReachable: async () => {},
    close: () => {},
  };
  return channel as unknown as ContentChannel;
}
