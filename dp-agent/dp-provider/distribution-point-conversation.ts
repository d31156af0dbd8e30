import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { BeginRequest__Output } from '../../shared/rpc/generated/waybill/v1/BeginRequest.ts';
import type { CheckRequest__Output } from '../../shared/rpc/generated/waybill/v1/CheckRequest.ts';
import type { CommitRequest__Output } from '../../shared/rpc/generated/waybill/v1/CommitRequest.ts';
import type { InspectRequest__Output } from '../../shared/rpc/generated/waybill/v1/InspectRequest.ts';
import type { PutContentRequest__Output } from '../../shared/rpc/generated/waybill/v1/PutContentRequest.ts';
import type { PutManifestRequest__Output } from '../../shared/rpc/generated/waybill/v1/PutManifestRequest.ts';
import type { RemovePackageRequest__Output } from '../../shared/rpc/generated/waybill/v1/RemovePackageRequest.ts';
import type { DpProvider } from './dp-provider.ts';
import type { PackageAction } from './package-actions.ts';
import { requireAction, requireHash, requirePackageVersion } from './package-version.ts';

/** Who this DP is. */
export interface DpSelf {
  readonly dpId: string;
  readonly siteCode: string;
  readonly agentVersion: string;
}

/** The DistributionPoint conversation: wire to DP provider and back; checks everything it reads. */
export function distributionPointConversation(
  provider: DpProvider,
  library: ContentLibrary,
  self: DpSelf,
): Conversation<'DistributionPoint'> {
  return {
    async check(request: CheckRequest__Output) {
      if (request.dpId !== self.dpId) {
        throw new WaybillError({
          code: 'MESSAGE_INVALID',
          field: 'dp_id',
          expected: self.dpId,
          actual: request.dpId,
        });
      }
      return { ...self, freeBytes: await provider.freeBytes() };
    },

    async begin(request: BeginRequest__Output) {
      const action = requireAction(request.action);
      const version = requirePackageVersion(request.package, action.packageId);
      const { redistribute } = request;
      const contentIdsWithoutManifest = await provider.begin({ ...action, version, redistribute });
      return { contentIdsWithoutManifest };
    },

    async putManifest(requests: AsyncIterable<PutManifestRequest__Output>) {
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      const opening = first.done ? undefined : first.value.open;
      if (!opening) throw expectedOpening();
      const action = requireAction(opening.action);
      await provider.putManifest(action, opening.contentId, chunksOf(iterator));
      return {};
    },

    async *inspect(request: InspectRequest__Output) {
      const action = requireAction(request.action);
      for await (const part of provider.inspect(action, request.contentId)) {
        yield {
          files: part.map(({ entryIndex, piecesHeld }) => ({
            entryIndex,
            piecesHeld: Buffer.from(piecesHeld),
          })),
          missingBytes: part.reduce((sum, { missingBytes }) => sum + missingBytes, 0),
        };
      }
    },

    async *putContent(requests: AsyncIterable<PutContentRequest__Output>) {
      let action: PackageAction | undefined;
      for await (const request of requests) {
        if (!action) {
          if (!request.open) throw expectedOpening();
          action = requireAction(request.open);
          continue;
        }
        await receive(provider, action, request);
        yield {};
      }
    },

    async commit(request: CommitRequest__Output) {
      const hash = await provider.commit(requireAction(request.action));
      return { packageHash: Buffer.from(hash, 'hex') };
    },

    async removePackage(request: RemovePackageRequest__Output) {
      await provider.removePackage(requireAction(request.action));
      return {};
    },

    async *listPackages() {
      for await (const { packageId, sourceVersion, packageHash } of library.listPackages()) {
        yield { packageId, sourceVersion, packageHash: Buffer.from(packageHash, 'hex') };
      }
    },
  };
}

async function receive(
  provider: DpProvider,
  action: PackageAction,
  request: PutContentRequest__Output,
): Promise<void> {
  if (request.piece) {
    const { fileHash, pieceIndex, data } = request.piece;
    const hash = requireHash('piece.file_hash', fileHash);
    await provider.receivePiece(action, { hash, pieceIndex, bytes: data });
    return;
  }
  const files = (request.files?.files ?? []).map(({ fileHash, data }) => ({
    hash: requireHash('files.file_hash', fileHash),
    bytes: data,
  }));
  await provider.receiveSmallFiles(action, files);
}

async function* chunksOf(
  requests: AsyncIterator<PutManifestRequest__Output>,
): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await requests.next();
    if (done) return;
    if (!value.chunk) throw expectedChunk();
    yield value.chunk;
  }
}

function expectedOpening(): WaybillError {
  const facts = { field: 'body', expected: 'open, as the first message', actual: 'something else' };
  return new WaybillError({ code: 'MESSAGE_INVALID', ...facts });
}

function expectedChunk(): WaybillError {
  const facts = { field: 'body', expected: 'a chunk', actual: 'something else' };
  return new WaybillError({ code: 'MESSAGE_INVALID', ...facts });
}
