import { toStandingMessage } from '../../shared/certificate-keeper/standing-message.ts';
import type { ContentLibrary } from '../../shared/content-library/content-library.ts';
import { pieceBytes } from '../../shared/domain/content.ts';
import type { ToldCertificate } from '../../shared/domain/known-certificate.ts';
import type { PackageVersion } from '../../shared/domain/package.ts';
import { requireDeltas } from '../../shared/package-info/delta-message.ts';
import { requireManifests } from '../../shared/package-info/inline-manifest.ts';
import {
  invalidMessage,
  requireAction,
  requireHash,
  requirePackageVersion,
} from '../../shared/package-info/package-version.ts';
import type { WantedEntry } from '../../shared/package-receiver/content-inspection.ts';
import type { WantedDelta } from '../../shared/package-receiver/incoming-deltas.ts';
import type { PackageAction } from '../../shared/package-receiver/package-actions.ts';
import type { PackageReceiver } from '../../shared/package-receiver/package-receiver.ts';
import type { SmallFile } from '../../shared/package-receiver/packed-files.ts';
import type { Conversation } from '../../shared/rpc/conversation.ts';
import type { ApplyDeltasRequest__Output } from '../../shared/rpc/generated/waybill/v1/ApplyDeltasRequest.ts';
import type { BeginRequest__Output } from '../../shared/rpc/generated/waybill/v1/BeginRequest.ts';
import type { CancelActionRequest__Output } from '../../shared/rpc/generated/waybill/v1/CancelActionRequest.ts';
import type { CancelActionResponse } from '../../shared/rpc/generated/waybill/v1/CancelActionResponse.ts';
import type { CheckRequest__Output } from '../../shared/rpc/generated/waybill/v1/CheckRequest.ts';
import type { CommitRequest__Output } from '../../shared/rpc/generated/waybill/v1/CommitRequest.ts';
import type { FileBatch__Output } from '../../shared/rpc/generated/waybill/v1/FileBatch.ts';
import type { FindFilesRequest__Output } from '../../shared/rpc/generated/waybill/v1/FindFilesRequest.ts';
import type { InspectRequest__Output } from '../../shared/rpc/generated/waybill/v1/InspectRequest.ts';
import type { InspectResponse } from '../../shared/rpc/generated/waybill/v1/InspectResponse.ts';
import type { OfferDeltasRequest__Output } from '../../shared/rpc/generated/waybill/v1/OfferDeltasRequest.ts';
import type { OfferDeltasResponse } from '../../shared/rpc/generated/waybill/v1/OfferDeltasResponse.ts';
import type { PutContentRequest__Output } from '../../shared/rpc/generated/waybill/v1/PutContentRequest.ts';
import type { PutContentResponse } from '../../shared/rpc/generated/waybill/v1/PutContentResponse.ts';
import type { PutManifestRequest__Output } from '../../shared/rpc/generated/waybill/v1/PutManifestRequest.ts';
import type { RemovePackageRequest__Output } from '../../shared/rpc/generated/waybill/v1/RemovePackageRequest.ts';
import { decodeRequest } from '../../shared/rpc/service-definitions.ts';
import { MessageAssembly } from '../../shared/transfer-arbiter/message-fragments.ts';
import { findFiles } from './find-files.ts';

/** Who this DP is. */
export interface DpSelf {
  readonly dpId: string;
  readonly siteCode: string;
  readonly agentVersion: string;
  /** How it stands with its certificate, as of now. */
  readonly certificate: () => ToldCertificate;
}

/** Answered elsewhere. */
type OtherMethod =
  | 'putPackageInfo'
  | 'notifyPull'
  | 'queryPull'
  | 'suspendAction'
  | 'setControls'
  | 'setTrust'
  | 'importPrestaged'
  | 'validate'
  | 'sweepLibrary';

/**
 * The DistributionPoint conversation: wire to DP provider and back; checks everything it reads.
 *
 * @param onReceived called when so many bytes of content came over the wire
 */
export function distributionPointConversation(
  provider: PackageReceiver,
  library: ContentLibrary,
  self: DpSelf,
  onReceived: (bytes: number) => void = () => {},
): Omit<Conversation<'DistributionPoint'>, OtherMethod> {
  return {
    async check(request: CheckRequest__Output) {
      if (request.dpId !== self.dpId) {
        throw invalidMessage('dp_id', self.dpId, request.dpId);
      }
      const { dpId, siteCode, agentVersion } = self;
      const certificate = toStandingMessage(self.certificate());
      return { dpId, siteCode, agentVersion, certificate, freeBytes: await provider.freeBytes() };
    },

    async begin(request: BeginRequest__Output) {
      const action = requireAction(request.action);
      const version = requirePackageVersion(request.package, action.packageId);
      const { redistribute } = request;
      const manifests = requireManifests(request.manifests, version);
      const begun = await provider.begin({ ...action, version, redistribute }, manifests);
      const { contentIdsWithoutManifest, inspected } = begun;
      return {
        contentIdsWithoutManifest: [...contentIdsWithoutManifest],
        inspected: inspected.map(({ contentId, wanted }) => ({
          contentId,
          wanted: inspectResponse(wanted),
        })),
      };
    },

    async putManifest(requests: AsyncIterable<PutManifestRequest__Output>) {
      const iterator = requests[Symbol.asyncIterator]();
      const first = await iterator.next();
      const opening = first.done ? undefined : first.value.open;
      if (!opening) throw invalidMessage('body', 'open, as the first message', bodyOf(first.value));
      const action = requireAction(opening.action);
      await provider.putManifest(action, opening.contentId, chunksOf(iterator));
      return {};
    },

    async *inspect(request: InspectRequest__Output) {
      const action = requireAction(request.action);
      for await (const part of provider.inspect(action, request.contentId)) {
        yield inspectResponse(part);
      }
    },

    async findFiles(request: FindFilesRequest__Output) {
      return findFiles(library, request);
    },

    putContent: (requests: AsyncIterable<PutContentRequest__Output>) =>
      putContent(provider, requests, onReceived),

    async commit(request: CommitRequest__Output) {
      const hash = await provider.commit(requireAction(request.action));
      return { packageHash: Buffer.from(hash, 'hex') };
    },

    async offerDeltas(request: OfferDeltasRequest__Output) {
      const action = requireAction(request.action);
      return offerDeltasResponse(await provider.offerDeltas(action, requireDeltas(request.deltas)));
    },

    async applyDeltas(request: ApplyDeltasRequest__Output) {
      const { madeFiles } = await provider.applyDeltas(requireAction(request.action));
      return { madeFiles: madeFiles.length };
    },

    async removePackage(request: RemovePackageRequest__Output) {
      await provider.removePackage(requireAction(request.action));
      return {};
    },

    async cancelAction(request: CancelActionRequest__Output) {
      return cancelResponse(await provider.cancel(requireAction(request.action)));
    },

    async *listPackages() {
      const lacking = await library.upkeep.lackingFiles();
      for await (const { packageId, sourceVersion, packageHash } of library.listPackages()) {
        const lackingFiles = lacking.get(packageId) ?? 0;
        const hash = Buffer.from(packageHash, 'hex');
        yield { packageId, sourceVersion, packageHash: hash, lackingFiles };
      }
    },
  };
}

async function* putContent(
  provider: PackageReceiver,
  requests: AsyncIterable<PutContentRequest__Output>,
  onReceived: (bytes: number) => void,
): AsyncGenerator<PutContentResponse> {
  let action: PackageAction | undefined;
  const assembly = new MessageAssembly();
  for await (const request of requests) {
    if (!action) {
      if (!request.open)
        throw invalidMessage('body', 'open, as the first message', bodyOf(request));
      action = requireAction(request.open);
      continue;
    }
    const whole = wholeOf(request, assembly);
    if (!whole) continue;
    onReceived(contentBytesOf(whole));
    await receive(provider, action, whole);
    yield {};
  }
}

function cancelResponse(held: PackageVersion | undefined): CancelActionResponse {
  if (!held) return {};
  const { sourceVersion: installedVersion, packageHash } = held;
  return { installedVersion, packageHash: Buffer.from(packageHash, 'hex') };
}

function inspectResponse(wanted: readonly WantedEntry[]): InspectResponse {
  return {
    files: wanted.map(({ entryIndex, piecesHeld }) => ({
      entryIndex,
      piecesHeld: Buffer.from(piecesHeld.buffer),
    })),
    missingBytes: wanted.reduce((sum, { missingBytes }) => sum + missingBytes, 0),
  };
}

function offerDeltasResponse(wanted: readonly WantedDelta[]): OfferDeltasResponse {
  return {
    wanted: wanted.map(({ delta, piecesHeld }) => ({
      deltaHash: Buffer.from(delta.deltaHash, 'hex'),
      piecesHeld: Buffer.from(piecesHeld.toBytes()),
    })),
  };
}

/** The message that is whole with this one; undefined while parts of it are still to come. */
function wholeOf(
  request: PutContentRequest__Output,
  assembly: MessageAssembly,
): PutContentRequest__Output | undefined {
  if (request.fragment) {
    const bytes = assembly.add(request.fragment);
    return bytes && decoded(bytes);
  }
  if (!assembly.isUnderWay) return request;
  throw invalidMessage('body', 'the next fragment', bodyOf(request));
}

function contentBytesOf({ piece, files }: PutContentRequest__Output): number {
  if (piece) return piece.data.length;
  return files?.files.reduce((sum, { data }) => sum + data.length, 0) ?? 0;
}

function decoded(bytes: Buffer): PutContentRequest__Output {
  try {
    return decodeRequest('DistributionPoint', 'putContent', bytes);
  } catch {
    throw invalidMessage('fragment', 'parts of a PutContentRequest', 'something else');
  }
}

async function receive(
  provider: PackageReceiver,
  action: PackageAction,
  request: PutContentRequest__Output,
): Promise<void> {
  if (request.piece) {
    const { fileHash, pieceIndex, data } = request.piece;
    const hash = requireHash('piece.file_hash', fileHash);
    await provider.receivePiece(action, { hash, pieceIndex, bytes: data });
    return;
  }
  if (!request.files) throw invalidMessage('body', 'a piece or files', bodyOf(request));
  await provider.receiveSmallFiles(action, requireSmallFiles(request.files));
}

function requireSmallFiles({ files }: FileBatch__Output): SmallFile[] {
  const sizeBytes = files.reduce((sum, { data }) => sum + data.length, 0);
  if (files.length === 0) throw invalidMessage('files', 'one file at least', 'none');
  if (sizeBytes > pieceBytes) {
    throw invalidMessage('files', `${pieceBytes} bytes together at most`, `${sizeBytes} bytes`);
  }
  return files.map(({ fileHash, data }) => ({
    hash: requireHash('files.file_hash', fileHash),
    bytes: data,
  }));
}

async function* chunksOf(
  requests: AsyncIterator<PutManifestRequest__Output>,
): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await requests.next();
    if (done) return;
    if (!value.chunk) throw invalidMessage('body', 'a chunk', bodyOf(value));
    yield value.chunk;
  }
}

/** Which part of a message's body is set, in words. */
function bodyOf(message: { readonly body?: string } | undefined): string {
  return message?.body ?? 'nothing';
}
