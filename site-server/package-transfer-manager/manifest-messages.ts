import { open } from 'node:fs/promises';
import type { ContentReader } from '../../shared/content-library/content-reader.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { ManifestOpening } from '../../shared/rpc/generated/waybill/v1/ManifestOpening.ts';
import type { PutManifestRequest } from '../../shared/rpc/generated/waybill/v1/PutManifestRequest.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';

/**
 * The messages that bring a content's manifest, then its signature, read as they are wanted and may
 * leave.
 *
 * @throws AbortError as soon as the signal fires
 */
export async function* manifestMessages(
  opening: ManifestOpening,
  content: Pick<ContentReader, 'manifestPath' | 'signaturePath'>,
  { permit, signal }: { permit: Pick<TransferPermit, 'takePart'>; signal: AbortSignal },
): AsyncGenerator<PutManifestRequest> {
  yield { open: opening };
  for (const path of [content.manifestPath, content.signaturePath]) {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    for (let offset = 0; offset < size; ) {
      const length = await permit.takePart(Math.min(pieceBytes, size - offset), signal);
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length);
      // Somebody cut it off: the DP will say that it is too short.
      if (bytesRead === 0) break;
      offset += bytesRead;
      yield { chunk: buffer.subarray(0, bytesRead) };
    }
  }
}
