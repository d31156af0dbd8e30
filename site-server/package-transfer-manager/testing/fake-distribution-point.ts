import { hashOf } from '../../../shared/content-library/content-hash.ts';
import type { ContentLibrary } from '../../../shared/content-library/content-library.ts';
import { hasPieces, pieceCountOf } from '../../../shared/domain/content.ts';
import { WaybillError } from '../../../shared/domain/errors.ts';
import { PieceSet } from '../../../shared/domain/piece-set.ts';
import type { BeginRequest__Output } from '../../../shared/rpc/generated/waybill/v1/BeginRequest.ts';
import type { CommitRequest__Output } from '../../../shared/rpc/generated/waybill/v1/CommitRequest.ts';
import type { InlineManifest__Output } from '../../../shared/rpc/generated/waybill/v1/InlineManifest.ts';
import type { PackageAction__Output } from '../../../shared/rpc/generated/waybill/v1/PackageAction.ts';
import type { PutContentRequest__Output } from '../../../shared/rpc/generated/waybill/v1/PutContentRequest.ts';
import type { PutManifestRequest__Output } from '../../../shared/rpc/generated/waybill/v1/PutManifestRequest.ts';
import { methodDefinition } from '../../../shared/rpc/service-definitions.ts';
import { AbortError } from '../../../shared/runtime/abort-error.ts';
import type { PushTransferNeeds } from '../push-transfer.ts';
import type { PutContentStream } from '../transfer-lanes.ts';

type Channel = PushTransferNeeds['channel'];

/** One message of content, as a test sees it. */
export interface SentContent {
  readonly jobSerial: number;
  /** `hash` of small files, `hash:index` of pieces. */
  readonly names: readonly string[];
}

/**
 * A DP in memory that answers as the real one does, over a channel that encodes and decodes. A test
 * lets it fail, lose things, or answer wrongly through its fields.
 */
export class FakeDistributionPoint {
  /** Methods that were called, in order, with what they were about. */
  readonly calls: string[] = [];
  /** How long the last call of a method might take. */
  readonly deadlineMsOf = new Map<string, number | undefined>();
  /** What it says to methods that nothing else is known of here. */
  readonly answers = new Map<string, object>();
  readonly sent: SentContent[] = [];
  /** Whole files that are here. */
  readonly files = new Set<string>();
  readonly pieces = new Map<string, PieceSet>();
  readonly manifests = new Map<string, Buffer>();
  streamCount = 0;
  unacknowledgedMax = 0;
  committedHash: string | undefined;
  /** Called before a method is answered; throws to fail it. */
  onCall: (method: string) => void | Promise<void> = () => {};
  /** Called for each message of content before it is acknowledged. */
  onContent: (sent: SentContent) => void | Promise<void> = () => {};
  /** Whether it takes manifests inside Begin; an agent that does not is asked as before. */
  takesInline = false;
  /** The manifests it asks for, whatever it has. */
  askedManifests: readonly string[] | undefined;
  /** What it says it serves, whatever it serves. */
  claimedHash: string | undefined;
  /** Puts its own words into an answer to Inspect. */
  tamperInspect: (part: InspectPart) => InspectPart = (part) => part;
  readonly #source: Pick<ContentLibrary, 'openContent'>;
  readonly #begun = new Map<number, { contentIds: string[]; packageHash: string }>();
  #rewritten: Set<string> | undefined;
  #rewrittenFor = 0;

  /** @param source the site's library: manifests are read there, not parsed again */
  constructor(source: Pick<ContentLibrary, 'openContent'>) {
    this.#source = source;
  }

  /** What a push transfer speaks to. */
  get channel(): Channel {
    const channel = {
      unary: async (
        method: string,
        request: object,
        options: { deadlineMs?: number; signal?: AbortSignal },
      ) => {
        options.signal?.throwIfAborted();
        this.deadlineMsOf.set(method, options.deadlineMs);
        return this.#unary(method, this.#arrived(method, request));
      },
      clientStream: async (method: string, requests: AsyncIterable<object>) => {
        this.calls.push(method);
        await this.onCall(method);
        await this.#putManifest(requests);
        return {};
      },
      serverStream: (_method: string, request: { contentId: string }) => this.#inspect(request),
      duplex: (_method: string, options: { signal?: AbortSignal }) => this.#stream(options.signal),
    };
    return channel as unknown as Channel;
  }

  async #unary(method: string, request: unknown): Promise<object> {
    this.calls.push(method);
    await this.onCall(method);
    if (method === 'begin') return this.#begin(request as BeginRequest__Output);
    if (method === 'commit') return this.#commit(request as CommitRequest__Output);
    return this.answers.get(method) ?? {};
  }

  async #begin(request: BeginRequest__Output): Promise<object> {
    const { action, package: version, redistribute } = request;
    if (!action || !version) throw new Error('Begin without its fields');
    const jobSerial = Number(action.jobSerial);
    const contentIds = version.contents.map(({ contentId }) => contentId);
    const packageHash = version.packageHash.toString('hex');
    this.#begun.set(jobSerial, { contentIds, packageHash });
    // What was rewritten for a job is remembered when it begins again.
    if (!redistribute) this.#rewritten = undefined;
    else if (this.#rewrittenFor !== jobSerial) this.#rewritten = new Set();
    this.#rewrittenFor = redistribute ? jobSerial : 0;
    const inspected = this.takesInline ? await this.#inspectInline(request.manifests) : [];
    const absent = contentIds.filter((id) => !this.manifests.has(id));
    return { contentIdsWithoutManifest: this.askedManifests ?? absent, inspected };
  }

  async #inspectInline(manifests: readonly InlineManifest__Output[]): Promise<InspectedContent[]> {
    const inspected: InspectedContent[] = [];
    for (const { contentId, manifest, signature } of manifests) {
      this.calls.push(`inline ${contentId}`);
      this.manifests.set(contentId, Buffer.concat([manifest, signature]));
      const files: InspectPart['files'][number][] = [];
      let missingBytes = 0;
      for await (const part of this.#wanted(contentId)) {
        files.push(...part.files);
        missingBytes += Number(part.missingBytes);
      }
      const wanted = { files, missingBytes: String(missingBytes) };
      inspected.push({ contentId, wanted: this.tamperInspect(wanted) });
    }
    return inspected;
  }

  async #putManifest(requests: AsyncIterable<object>): Promise<void> {
    let contentId = '';
    const chunks: Buffer[] = [];
    for await (const request of requests) {
      const { open, chunk } = this.#arrived('putManifest', request) as PutManifestRequest__Output;
      if (open) contentId = open.contentId;
      else chunks.push(chunk ?? Buffer.alloc(0));
    }
    this.calls.push(`manifest ${contentId}`);
    this.manifests.set(contentId, Buffer.concat(chunks));
  }

  async *#inspect({ contentId }: { contentId: string }): AsyncGenerator<InspectPart> {
    this.calls.push(`inspect ${contentId}`);
    await this.onCall('inspect');
    for await (const part of this.#wanted(contentId)) yield this.tamperInspect(part);
  }

  async *#wanted(contentId: string): AsyncGenerator<InspectPart> {
    await using content = await this.#source.openContent(contentId);
    for await (const entries of content.entries()) {
      for (const { entry, index } of entries) {
        if (entry.type !== 'file') continue;
        const { hash, sizeBytes } = entry;
        if (this.#rewritten ? this.#rewritten.has(hash) : this.files.has(hash)) continue;
        const pieces = this.#piecesOf(hash, sizeBytes);
        const missingBytes = String(pieces.missingBytesOf(sizeBytes));
        const piecesHeld = Buffer.from(pieces.toBytes());
        const files = [{ entryIndex: String(index), piecesHeld }];
        yield { files, missingBytes };
      }
    }
  }

  #piecesOf(hash: string, sizeBytes: number): PieceSet {
    if (!hasPieces(sizeBytes)) return new PieceSet(0);
    const known = this.pieces.get(hash) ?? new PieceSet(pieceCountOf(sizeBytes));
    this.pieces.set(hash, known);
    return known;
  }

  #stream(signal: AbortSignal | undefined): PutContentStream {
    this.streamCount += 1;
    return new FakeContentStream(
      signal,
      (message) => {
        const request = Buffer.isBuffer(message) ? message : this.#encoded('putContent', message);
        return this.#decoded('putContent', request) as PutContentRequest__Output;
      },
      {
        receive: (action, request) => this.#receive(action, request),
        onUnacknowledged: (count) => {
          this.unacknowledgedMax = Math.max(this.unacknowledgedMax, count);
        },
      },
    );
  }

  async #receive(action: PackageAction__Output, request: PutContentRequest__Output): Promise<void> {
    const { piece, files } = request;
    const names = piece
      ? [`${piece.fileHash.toString('hex')}:${piece.pieceIndex}`]
      : (files?.files ?? []).map(({ fileHash }) => fileHash.toString('hex'));
    const sent = { jobSerial: Number(action.jobSerial), names };
    this.sent.push(sent);
    await this.onContent(sent);
    if (piece) this.#keepPiece(piece.fileHash.toString('hex'), piece.pieceIndex);
    for (const { fileHash, data } of files?.files ?? []) {
      if (hashOf(data) !== fileHash.toString('hex')) throw new Error('A file with a wrong hash');
      this.#keep(hashOf(data));
    }
  }

  #keepPiece(hash: string, index: number): void {
    const pieces = this.pieces.get(hash);
    if (!pieces) throw new WaybillError({ code: 'FILE_NOT_WANTED', fileHash: hash });
    pieces.add(index);
    if (!pieces.isComplete) return;
    this.pieces.delete(hash);
    this.#keep(hash);
  }

  #keep(hash: string): void {
    this.files.add(hash);
    this.#rewritten?.add(hash);
  }

  async #commit({ action }: CommitRequest__Output): Promise<object> {
    const begun = this.#begun.get(Number(action?.jobSerial));
    if (!begun) throw new Error('Commit before Begin');
    let missingFiles = 0;
    for (const contentId of begun.contentIds) {
      for await (const part of this.#missing(contentId)) missingFiles += part;
    }
    if (missingFiles > 0) {
      throw new WaybillError({ code: 'CONTENT_INCOMPLETE', packageId: 'PS100001', missingFiles });
    }
    this.committedHash = begun.packageHash;
    return { packageHash: Buffer.from(this.claimedHash ?? this.committedHash, 'hex') };
  }

  async *#missing(contentId: string): AsyncGenerator<number> {
    await using content = await this.#source.openContent(contentId);
    for await (const entries of content.entries()) {
      for (const { entry } of entries) {
        if (entry.type === 'file' && !this.files.has(entry.hash)) yield 1;
      }
    }
  }

  #arrived(method: string, request: object): unknown {
    return this.#decoded(method, this.#encoded(method, request));
  }

  #encoded(method: string, request: object): Buffer {
    return methodDefinition('DistributionPoint', method).requestSerialize(request);
  }

  #decoded(method: string, bytes: Buffer): unknown {
    return methodDefinition('DistributionPoint', method).requestDeserialize(bytes);
  }
}

/** What it wants of a content whose manifest came inside Begin. */
interface InspectedContent {
  readonly contentId: string;
  readonly wanted: InspectPart;
}

/** An answer to Inspect. */
export interface InspectPart {
  readonly files: readonly { readonly entryIndex: string; readonly piecesHeld: Buffer }[];
  readonly missingBytes: string;
}

interface ContentReceiver {
  receive(action: PackageAction__Output, request: PutContentRequest__Output): Promise<void>;
  onUnacknowledged(count: number): void;
}

class FakeContentStream implements PutContentStream {
  readonly #decode: (message: object) => PutContentRequest__Output;
  readonly #receiver: ContentReceiver;
  readonly #answers: Promise<object>[] = [];
  readonly #cancelled = new AbortController();
  #action: PackageAction__Output | undefined;
  #unacknowledged = 0;

  constructor(
    signal: AbortSignal | undefined,
    decode: (message: object) => PutContentRequest__Output,
    receiver: ContentReceiver,
  ) {
    this.#decode = decode;
    this.#receiver = receiver;
    signal?.addEventListener('abort', () => this.cancel(), { once: true });
  }

  async write(message: object): Promise<void> {
    this.#throwIfCancelled();
    const request = this.#decode(message);
    if (request.open) {
      this.#action = request.open;
      return;
    }
    if (!this.#action) throw new Error('Content before the opening');
    this.#unacknowledged += 1;
    this.#receiver.onUnacknowledged(this.#unacknowledged);
    const answer = this.#receiver.receive(this.#action, request).then(() => ({}));
    answer.catch(() => {});
    this.#answers.push(answer);
  }

  async read(): Promise<object | undefined> {
    this.#throwIfCancelled();
    const answer = this.#answers.shift();
    if (!answer) return undefined;
    const cancelled = new Promise<never>((_, reject) => {
      const { signal } = this.#cancelled;
      signal.addEventListener('abort', () => reject(new AbortError()), { once: true });
    });
    const value = await Promise.race([answer, cancelled]);
    this.#unacknowledged -= 1;
    return value;
  }

  end(): void {}

  cancel(): void {
    this.#cancelled.abort();
  }

  #throwIfCancelled(): void {
    if (this.#cancelled.signal.aborted) throw new AbortError();
  }
}
