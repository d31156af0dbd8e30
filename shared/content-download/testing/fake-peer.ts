import { WaybillError } from '../../domain/errors.ts';
import type { PieceSet } from '../../domain/piece-set.ts';
import type { PullSource } from '../../domain/pull-source.ts';
import { encodeAnswer } from '../../rpc/service-definitions.ts';
import { AbortError, throwIfAborted } from '../../runtime/abort-error.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { TurnsPerKey } from '../../runtime/turns-per-key.ts';
import { WakeSignal } from '../../runtime/wake-signal.ts';
import { contentLengthOf, type FetchRequest, type FetchResponse } from '../content-messages.ts';
import type { ContentChannel } from '../source-connection.ts';
import { wakeWithin } from '../timed-wait.ts';
import { type FakeContent, unitLengthOf } from './fake-content.ts';
import { FakeLink, type FakeNetwork } from './fake-network.ts';

/** Turns an honest answer into what this peer says. */
export type Answer = (response: FetchResponse) => FetchResponse;

/** What peers are made of. */
export interface FakePeerNeeds {
  readonly content: FakeContent;
  readonly network: FakeNetwork;
  readonly clock: Clock;
}

/** Time between two messages of what it holds. */
const holdingsIntervalMs = 250;
/** Bytes of a fragment where it has a limit of its own. */
const fragmentBytes = 64 * 1024;
const none = Buffer.alloc(0);
/** What was told last when it was that all is closed. */
const closedCount = -2;
const zeros = Buffer.alloc(1024 * 1024);

/** A source that serves a content in memory over a fake network, honestly or not. */
export class FakePeer {
  readonly source: PullSource;
  readonly link: FakeLink;
  /** What it holds; undefined: nothing of the content. */
  units: PieceSet | undefined;
  answer: Answer = (response) => response;
  isReachable = true;
  /** What it says when it is asked for deltas, as it travels. */
  deltas: readonly object[] = [];
  /** When it knows them; until then it says that it does not know yet. @default at once */
  deltasKnown: Promise<void> | undefined;
  /** Files it serves besides the content's, all zero, by their hash. */
  readonly extraFiles = new Map<string, number>();
  /** Files it never answers for. */
  readonly silentFiles = new Set<string>();
  /** Each answer is followed by the same again, which is read as the next one. */
  isEndless = false;
  hasManifest = true;
  /** It gives a byte of the manifest now and then, for ever. */
  isManifestCrawling = false;
  /** Fetch calls fail with this. */
  refusal: Error | undefined;
  manifestByte = 0;
  /** It gives the end of the manifest to nobody. */
  isManifestCut = false;
  /** Its schedule: at this hour it serves nothing. */
  isClosed = false;
  /** Of an older program, it sends all at once. */
  knowsFragments = true;
  /** Its own limit: bytes per second of a fragment, of each stream. Its answers come in fragments then. */
  fragmentRate: number | undefined;
  /** Answers in fragments that it works on at once. @default any number */
  turns: TurnsPerKey | undefined;
  /** What it sends in place of the bytes of a fragment. */
  spoilFragment = (data: Buffer): Buffer => data;
  /** Bytes of the ranges of the manifest that were asked for. */
  readonly manifestRanges: number[] = [];
  /** Units that were asked of it. */
  readonly asked: number[] = [];
  /** Fragments it has sent. */
  fragmentCount = 0;
  /** Requests it works on now, and the most there were. */
  openCount = 0;
  openCountMax = 0;
  /** The most answers of which a part had gone, and more was to be asked for. */
  partlySentMax = 0;
  readonly #partlySent = new Set<FakeFragments>();
  readonly #needs: FakePeerNeeds;
  readonly #changed = new WakeSignal();
  #calls = new AbortController();

  constructor(
    needs: FakePeerNeeds,
    options: { name: string; rank?: number; bytesPerSecond?: number; units?: PieceSet },
  ) {
    const { name, rank = 1, bytesPerSecond = 100e6 } = options;
    this.#needs = needs;
    const identity = { kind: 'dp', dpId: name } as const;
    this.source = { identity, address: `${name}:1`, rank };
    this.link = new FakeLink(bytesPerSecond);
    this.units = options.units;
  }

  /** It holds more, or less. */
  changed(): void {
    this.#changed.wake();
  }

  goAway(): void {
    this.isReachable = false;
    this.#calls.abort();
    this.#calls = new AbortController();
  }

  comeBack(): void {
    this.isReachable = true;
    this.changed();
  }

  /** The channel somebody with this link opens to it. */
  channelFor(link: FakeLink): ContentChannel {
    const channel = {
      serverStream: (
        method: string,
        request: { readonly offsetBytes?: number; readonly bytesMax?: number },
        { signal }: { signal: AbortSignal },
      ) => {
        if (method === 'listDeltas') return this.#deltas(signal);
        return method === 'watchHoldings' ? this.#watch(signal) : this.#manifest(request, signal);
      },
      duplex: () => {
        const answers = new FakeFragments();
        const serve = (request: FetchRequest, over: AbortSignal) =>
          this.#serveParts(request, answers, { link, signal: over });
        const { signal } = this.#calls;
        const next = (over: AbortSignal) => this.#nextPart(answers, { link, signal: over });
        return new FakeCall(serve, { signal, isEndless: this.isEndless, next });
      },
      whenReachable: async (signal: AbortSignal) => {
        while (!this.isReachable) {
          await wakeWithin(this.#changed, 1_000, { clock: this.#needs.clock, signal });
        }
      },
      close: () => {},
    };
    return channel as unknown as ContentChannel;
  }

  async *#manifest(
    { offsetBytes = 0, bytesMax = 0 }: { offsetBytes?: number; bytesMax?: number },
    signal: AbortSignal,
  ) {
    throwIfAborted(signal);
    this.#requireReachable();
    if (this.isClosed) throw closed();
    if (!this.hasManifest || !this.units) throw this.#notHeld();
    while (this.isManifestCrawling) {
      yield { chunk: Buffer.alloc(1) };
      await this.#needs.clock.sleep(2_000, signal);
    }
    const { manifestBytes } = this.#needs.content.descriptor;
    this.manifestRanges.push(bytesMax);
    const leftBytes = manifestBytes - offsetBytes;
    const rangeBytes = this.knowsFragments ? Math.min(bytesMax || leftBytes, leftBytes) : leftBytes;
    if (this.isManifestCut && rangeBytes === leftBytes) return;
    yield { chunk: Buffer.alloc(rangeBytes, this.manifestByte) };
  }

  async *#deltas(signal: AbortSignal) {
    this.#requireReachable();
    if (this.deltasKnown !== undefined) {
      yield { deltas: [] };
      const over = new Promise((resolve) => signal.addEventListener('abort', resolve));
      await Promise.race([this.deltasKnown, over]);
      throwIfAborted(signal);
    }
    yield { deltas: this.deltas };
  }

  async *#watch(ended: AbortSignal) {
    this.#requireReachable();
    if (!this.units) throw this.#notHeld();
    const signal = AbortSignal.any([ended, this.#calls.signal]);
    const { clock } = this.#needs;
    for (let before = -1; ; ) {
      if (ended.aborted) throw new AbortError();
      this.#requireReachable();
      const { heldCount, isComplete } = this.units;
      if (this.isClosed) {
        if (before !== closedCount)
          yield { closed: true, complete: false, firstUnit: '0', units: none };
        before = closedCount;
        await wakeWithin(this.#changed, holdingsIntervalMs, { clock, signal }).catch(() => {});
      } else if (heldCount !== before) {
        before = heldCount;
        const units = isComplete ? Buffer.alloc(0) : Buffer.from(this.units.toBytes());
        yield { complete: isComplete, firstUnit: '0', units };
        await clock.sleep(holdingsIntervalMs, signal).catch(() => {});
      } else {
        await wakeWithin(this.#changed, holdingsIntervalMs, { clock, signal }).catch(() => {});
      }
    }
  }

  /** The answer, or the first of its fragments, or the next one that is allowed. */
  async #serveParts(
    request: FetchRequest,
    answers: FakeFragments,
    way: { readonly link: FakeLink; readonly signal: AbortSignal },
  ): Promise<FetchResponse> {
    if (request.moreBytes) answers.allowedBytes += request.moreBytes;
    else {
      if (this.isClosed) throw closed();
      const isWhole = !request.firstBytes && this.fragmentRate === undefined;
      if (isWhole || !this.knowsFragments) return this.#serve(request, way.link, way.signal);
      this.#requireReachable();
      answers.endTurn = await this.turns?.take('', way.signal);
      const response = this.answer(this.#respond(request));
      answers.rest = encodeAnswer('Content', 'fetch', response);
      answers.allowedBytes = request.firstBytes || answers.rest.length;
    }
    return this.#nextPart(answers, way);
  }

  async #nextPart(
    answers: FakeFragments,
    { link, signal }: { readonly link: FakeLink; readonly signal: AbortSignal },
  ): Promise<FetchResponse> {
    const { clock, network } = this.#needs;
    this.fragmentCount += 1;
    const data = answers.take(
      this.fragmentRate === undefined ? Number.POSITIVE_INFINITY : fragmentBytes,
    );
    if (this.fragmentRate) await clock.sleep((data.length * 1_000) / this.fragmentRate, signal);
    await network.transfer(this.link, link, data.length, signal);
    if (this.isClosed) throw closed();
    const last = answers.rest.length === 0;
    if (last) answers.endTurn?.();
    if (last) this.#partlySent.delete(answers);
    else this.#partlySent.add(answers);
    this.partlySentMax = Math.max(this.partlySentMax, this.#partlySent.size);
    return { body: 'fragment', fragment: { data: this.spoilFragment(data), last } };
  }

  async #serve(request: FetchRequest, link: FakeLink, signal: AbortSignal): Promise<FetchResponse> {
    this.#requireReachable();
    if (this.refusal) throw this.refusal;
    this.openCount += 1;
    this.openCountMax = Math.max(this.openCountMax, this.openCount);
    try {
      if (this.#isSilentAt(request)) await this.#needs.clock.sleep(Number.MAX_SAFE_INTEGER, signal);
      const response = this.answer(this.#respond(request));
      await this.#needs.network.transfer(this.link, link, 100 + contentLengthOf(response), signal);
      return response;
    } catch (error) {
      this.#requireReachable();
      throw error;
    } finally {
      this.openCount -= 1;
    }
  }

  #isSilentAt({ piece, files }: FetchRequest): boolean {
    const names = [piece, ...(files?.files ?? [])].map((file) => file?.fileHash);
    return names.some((name) =>
      this.silentFiles.has(Buffer.from((name ?? '') as Buffer).toString('hex')),
    );
  }

  #respond({ piece, files }: FetchRequest): FetchResponse {
    if (piece) {
      const data = this.#read(piece.fileHash, Number(piece.pieceIndex));
      if (!data) return { body: 'notHere', notHere: {} };
      const fileHash = Buffer.from(piece.fileHash as Buffer);
      return { body: 'piece', piece: { fileHash, pieceIndex: Number(piece.pieceIndex), data } };
    }
    const found = (files?.files ?? []).flatMap(({ fileHash }) => {
      const data = this.#read(fileHash, 0);
      return data ? [{ fileHash: Buffer.from(fileHash as Buffer), data }] : [];
    });
    return { body: 'files', files: { files: found } };
  }

  #read(hash: unknown, pieceIndex: number): Buffer | undefined {
    const name = (hash as Buffer).toString('hex');
    const extraBytes = this.extraFiles.get(name);
    if (extraBytes !== undefined) return zeros.subarray(0, extraBytes);
    const file = this.#needs.content.fileOf(name);
    if (!file) return undefined;
    this.asked.push(file.firstUnit + pieceIndex);
    if (!this.units?.has(file.firstUnit + pieceIndex)) return undefined;
    return zeros.subarray(0, unitLengthOf(file, pieceIndex));
  }

  #requireReachable(): void {
    if (this.isReachable) return;
    const { address } = this.source;
    throw new WaybillError({ code: 'PEER_UNREACHABLE', peer: 'peer', address, reason: 'gone' });
  }

  #notHeld(): WaybillError {
    const { contentId } = this.#needs.content.descriptor;
    return new WaybillError({ code: 'CONTENT_NOT_HELD', contentId });
  }
}

function closed(): WaybillError {
  return new WaybillError({ code: 'CONTENT_WINDOW_CLOSED', opensAtMs: 0 });
}

/** An answer that is on its way in fragments. */
class FakeFragments {
  rest: Buffer = Buffer.alloc(0);
  allowedBytes = 0;
  endTurn: (() => void) | undefined;

  take(bytesMax: number): Buffer {
    const part = this.rest.subarray(0, Math.min(bytesMax, this.allowedBytes));
    this.rest = this.rest.subarray(part.length);
    this.allowedBytes -= part.length;
    return part;
  }
}

class FakeCall {
  readonly #next: (signal: AbortSignal) => Promise<FetchResponse>;
  readonly #serve: (request: FetchRequest, signal: AbortSignal) => Promise<FetchResponse>;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #isEndless: boolean;
  #answer: Promise<FetchResponse> | undefined;
  #isRead = false;

  constructor(
    serve: (request: FetchRequest, signal: AbortSignal) => Promise<FetchResponse>,
    {
      signal,
      isEndless,
      next,
    }: {
      signal: AbortSignal;
      isEndless: boolean;
      next: (signal: AbortSignal) => Promise<FetchResponse>;
    },
  ) {
    this.#next = next;
    this.#serve = serve;
    this.#isEndless = isEndless;
    this.#signal = AbortSignal.any([this.#over.signal, signal]);
  }

  async write(request: FetchRequest): Promise<void> {
    if (this.#isEndless && this.#answer !== undefined) return;
    this.#isRead = false;
    this.#answer = this.#serve(request, this.#signal);
    this.#answer.catch(() => {});
  }

  async read(): Promise<FetchResponse | undefined> {
    // What was read is not read again, unless more of it is to come without being asked for.
    const answer = this.#isRead && !this.#isEndless ? this.#next(this.#signal) : this.#answer;
    this.#isRead = true;
    return answer;
  }

  end(): void {}

  cancel(): void {
    this.#over.abort();
  }
}
