import { open } from 'node:fs/promises';
import type { ContentReader } from '../../shared/content-library/content-reader.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { ManifestOpening } from '../../shared/rpc/generated/waybill/v1/ManifestOpening.ts';
import type { PutManifestRequest } from '../../shared/rpc/generated/waybill/v1/PutManifestRequest.ts';

/** The messages that bring a content's manifest, then its signature, read as they are wanted. */
export async function* manifestMessages(
  opening: ManifestOpening,
  content: Pick<ContentReader, 'manifestPath' | 'signaturePath'>,
): AsyncGenerator<PutManifestRequest> {
  yield { open: opening };
  for (const path of [content.manifestPath, content.signaturePath]) {
    await using file = await open(path, 'r');
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes);
      if (bytesRead === 0) break;
      yield { chunk: buffer.subarray(0, bytesRead) };
    }
  }
}
