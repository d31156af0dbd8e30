import { setImmediate as nextTurn } from 'node:timers/promises';
import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { toIdentityUri } from '../../shared/domain/peer-identity.ts';
import type { PackageFileFacts } from '../../shared/domain/send-request.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { OfferFileRequest__Output } from '../../shared/rpc/generated/waybill/v1/OfferFileRequest.ts';
import type { PackageFileHeld } from '../../shared/rpc/generated/waybill/v1/PackageFileHeld.ts';
import type { PackageFilePart__Output } from '../../shared/rpc/generated/waybill/v1/PackageFilePart.ts';
import type { SignedInstruction__Output } from '../../shared/rpc/generated/waybill/v1/SignedInstruction.ts';
import { workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import {
  requireCount,
  requireHash,
  requireId,
  requirePackageId,
  requireSite,
} from '../site-identity/instructions.ts';
import type { ArrivingStream } from './arrival.ts';
import type { InstructionIntake, PackageTarget } from './instruction-intake.ts';
import type { ReceivedFileStore } from './received-file-store.ts';
import type { RefusalReports } from './refusal-reports.ts';

/** What answering other sites needs. */
export interface TransferServiceComponents {
  readonly directory: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly files: Pick<ReceivedFileStore, 'offer' | 'receive'>;
  readonly intake: Pick<InstructionIntake, 'take' | 'checkOffer'>;
  readonly reports: Pick<RefusalReports, 'tell'>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** How it is tuned. */
export interface TransferServiceConfig {
  /** How long the next part of a file may take; then its place is free for others. @default 120_000 */
  readonly stallMs: number;
}

/** As documented at each. */
export const defaultTransferServiceConfig: TransferServiceConfig = { stallMs: 120_000 };

/** Data of one message, in bytes at most. */
const dataBytesMax = 1024 * 1024;
/** Written bytes after which the sender hears of them, though it goes on sending. */
const confirmBytes = 256 * 1024;

/** A file that is offered, and what it is for. */
interface Offer extends PackageTarget {
  readonly requestId: string;
  readonly file: PackageFileFacts;
}

/** What came of a stream, in its order; undefined at its end. */
type NextPart = () => Promise<PackageFilePart__Output | undefined>;

/**
 * Answers proto/waybill/v1/site_transfer.proto: package files and instructions of other sites
 * (REP-5 to REP-7). Whoever calls is what its certificate says, and a site of this hierarchy.
 * Stores nothing itself.
 */
export class TransferService {
  readonly #components: TransferServiceComponents;

  readonly #config: TransferServiceConfig;
  #receivedBytes = 0;

  constructor(components: TransferServiceComponents, config = defaultTransferServiceConfig) {
    this.#components = components;
    this.#config = config;
  }

  /** Of package files, what came over the wire since this program began. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** The functions that answer the conversation. */
  conversation(): Conversation<'SiteTransfer'> {
    return {
      offerFile: (request, context) => this.#offerFile(request, context),
      putFile: (requests, context) => this.#putFile(requests, context),
      putInstruction: (request, context) => this.#putInstruction(request, context),
    };
  }

  async #offerFile(request: OfferFileRequest__Output, context: CallContext) {
    const siteCode = this.#requireCaller(context, 'OfferFile');
    const offer = requireOffer(request);
    await this.#checkOffer(offer, siteCode, context);
    const { file, requestId } = offer;
    return { heldBytes: await this.#components.files.offer(file, { siteCode, requestId }) };
  }

  async *#putFile(
    requests: AsyncIterable<PackageFilePart__Output>,
    context: CallContext,
  ): AsyncGenerator<PackageFileHeld> {
    const siteCode = this.#requireCaller(context, 'PutFile');
    const messages = requests[Symbol.asyncIterator]();
    const next: NextPart = () => this.#unlessSilent(messages, siteCode);
    const first = await next();
    if (!first) return;
    const offer = requireOffer(first.file);
    await this.#checkOffer(offer, siteCode, context);
    const offsetBytes = requireCount('offset', first.offset);
    const bringer = { siteCode, requestId: offer.requestId };
    using stream = await this.#components.files.receive(offer.file, { bringer, offsetBytes });
    try {
      yield* receiveParts({ first, next, stream, file: offer.file });
    } catch (error) {
      if (isErrorWithCode(error, 'FILE_HASH_MISMATCH')) await this.#tell(error, offer, siteCode);
      throw error;
    }
  }

  /** @throws DEADLINE_EXCEEDED when nothing comes: whoever brings it is gone, or holds its place */
  async #unlessSilent(messages: AsyncIterator<PackageFilePart__Output>, siteCode: string) {
    const { stallMs: deadlineMs } = this.#config;
    const over = new AbortController();
    const silence = this.#components.clock.sleep(deadlineMs, over.signal).then(() => {
      const peer = `Site ${siteCode}`;
      throw new WaybillError({ code: 'DEADLINE_EXCEEDED', peer, method: 'PutFile', deadlineMs });
    });
    silence.catch(() => {});
    try {
      const { done, value } = await Promise.race([messages.next(), silence]);
      if (done) return undefined;
      this.#receivedBytes += value.data.length;
      return value;
    } finally {
      over.abort(workIsOver);
    }
  }

  async #putInstruction(request: SignedInstruction__Output, context: CallContext) {
    const siteCode = this.#requireCaller(context, 'PutInstruction');
    await this.#components.intake.take(request, siteCode, context.describe);
    return {};
  }

  /** What will be refused in the end is refused, and told, before its file costs anything. */
  async #checkOffer(offer: Offer, siteCode: string, context: CallContext): Promise<void> {
    try {
      await this.#components.intake.checkOffer(offer, siteCode);
    } catch (error) {
      if (!isErrorWithCode(error, 'INSTRUCTION_REFUSED', 'VERSION_DOWNGRADE')) throw error;
      const { requestId, packageId, sourceVersion, finalSiteCode } = offer;
      const words = `requestId=${requestId} packageId=${packageId} sourceVersion=${sourceVersion}`;
      context.describe?.(`${words} final=${finalSiteCode}; ${error.message}`);
      await this.#tell(error, offer, siteCode);
      throw error;
    }
  }

  async #tell(error: WaybillError, offer: Offer, siteCode: string): Promise<void> {
    const { packageId, sourceVersion } = offer;
    const reason = error.message;
    await this.#components.reports.tell({ siteCode, packageId, sourceVersion, reason });
  }

  /** The site that calls. @throws PEER_NOT_ALLOWED unless it is known as one of the hierarchy */
  #requireCaller({ caller: { identity } }: CallContext, method: string): string {
    const { own, tree } = this.#components.directory;
    if (identity.kind === 'site' && identity.siteCode !== own.siteCode) {
      // A site that has just joined knows its parent before it knows the hierarchy.
      const isParent = own.parent?.siteCode === identity.siteCode;
      if (isParent || tree.get(identity.siteCode)) return identity.siteCode;
    }
    throw new WaybillError({
      code: 'PEER_NOT_ALLOWED',
      caller: toIdentityUri(identity),
      method: `/waybill.v1.SiteTransfer/${method}`,
      expected: 'other sites that are known in this hierarchy',
    });
  }
}

/** Takes the parts of one stream; says what is written, often enough, and whenever the sender waits. */
async function* receiveParts(arriving: {
  readonly first: PackageFilePart__Output;
  readonly next: NextPart;
  readonly stream: ArrivingStream;
  readonly file: PackageFileFacts;
}): AsyncGenerator<PackageFileHeld> {
  const { first, next, stream, file } = arriving;
  let confirmedBytes = requireCount('offset', first.offset);
  let part: PackageFilePart__Output | undefined = first;
  while (part) {
    const following: Promise<PackageFilePart__Output | undefined> = next();
    // Whoever waits for it hears of its failure; nobody may.
    following.catch(() => {});
    const isEmptyFirst = part === first && part.data.length === 0;
    const heldBytes = isEmptyFirst ? confirmedBytes : await stream.write(requireData(part.data));
    if (heldBytes === file.fileBytes) {
      await stream.finish();
      yield { heldBytes, complete: true };
      return;
    }
    if (heldBytes - confirmedBytes >= confirmBytes || !(await isHere(following))) {
      yield { heldBytes, complete: false };
      confirmedBytes = heldBytes;
    }
    part = await unlessOver(following, stream.signal);
  }
}

/** Whether a promise has settled already. */
async function isHere(promise: Promise<unknown>): Promise<boolean> {
  const settled = promise.then(
    () => true,
    () => true,
  );
  return Promise.race([settled, nextTurn(false)]);
}

/** @throws the reason of the signal, as soon as it fires */
async function unlessOver<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let onOver = () => {};
  const over = new Promise<never>((_, reject) => {
    onOver = () => reject(signal.reason);
    signal.addEventListener('abort', onOver, { once: true });
  });
  try {
    return await Promise.race([promise, over]);
  } finally {
    signal.removeEventListener('abort', onOver);
  }
}

function requireData(data: Buffer): Buffer {
  requireCount('data', data.length, { min: 1, max: dataBytesMax });
  return data;
}

function requireOffer(request: OfferFileRequest__Output | null | undefined): Offer {
  if (!request) {
    const field = 'file';
    const expected = 'the file, in the first message';
    throw new WaybillError({ code: 'MESSAGE_INVALID', field, expected, actual: 'nothing' });
  }
  return {
    requestId: requireId('request_id', request.requestId),
    file: {
      fileHash: requireHash('file_hash', request.fileHash),
      fileBytes: requireCount('file_bytes', request.fileBytes, { min: 1 }),
    },
    packageId: requirePackageId('package_id', request.packageId),
    sourceVersion: requireCount('source_version', request.sourceVersion, { min: 1, max: 2 ** 31 }),
    finalSiteCode: requireSite('final_site_code', request.finalSiteCode),
  };
}
