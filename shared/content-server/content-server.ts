/**
 * Answers the Content conversation: what of a content is here, its manifest, its bytes, its deltas; from
 * the library, and from what is just arriving (PULL-11). Used by the wiring of every agent that has
 * content. Nothing here is taken on trust by who fetches, and nothing is given away that was not
 * verified when it came (SEC-4). Stores nothing; a crash leaves nothing.
 */
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { PieceSource } from '../content-source/piece-source.ts';
import type { Delta } from '../domain/delta.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { requireCount } from '../package-info/package-version.ts';
import { toPriority } from '../package-info/priority-message.ts';
import type { ArrivingBytes } from '../package-receiver/arriving-bytes.ts';
import type { CallContext, Conversation, EncodedAnswer } from '../rpc/conversation.ts';
import type { DeltaList } from '../rpc/generated/waybill/v1/DeltaList.ts';
import type { FetchRequest__Output } from '../rpc/generated/waybill/v1/FetchRequest.ts';
import type { GetManifestRequest__Output } from '../rpc/generated/waybill/v1/GetManifestRequest.ts';
import type { Holdings } from '../rpc/generated/waybill/v1/Holdings.ts';
import type { ListDeltasRequest__Output } from '../rpc/generated/waybill/v1/ListDeltasRequest.ts';
import type { ManifestPart } from '../rpc/generated/waybill/v1/ManifestPart.ts';
import type { WatchHoldingsRequest__Output } from '../rpc/generated/waybill/v1/WatchHoldingsRequest.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { TurnsPerKey } from '../runtime/turns-per-key.ts';
import { answerParts } from './answer-parts.ts';
import { ArrivingContents } from './arriving-contents.ts';
import { type ContentName, notHeld, requireContentName } from './content-name.ts';
import { deltaListLength, deltaLists, untilDeltasAreKnown } from './delta-lists.ts';
import { FetchAnswers } from './fetch-answers.ts';
import { requireItem } from './fetch-requests.ts';
import { HeldContents } from './held-contents.ts';
import { type ManifestRange, manifestParts } from './manifest-parts.ts';
import { openHoldings } from './open-holdings.ts';
import { type ServedCall, type ServingControls, ServingGate } from './serving-gate.ts';

export interface ContentServerNeeds {
  readonly library: Pick<ContentLibrary, 'openContent' | 'areHeld'>;
  readonly pieceSource: Pick<PieceSource, 'join' | 'message'>;
  /** What is just being fetched here; absent, like `arrivingBytes`, where nothing ever is. */
  readonly arriving?: ArrivingContents;
  readonly arrivingBytes?: ArrivingBytes;
  /** Where the deltas of the contents that are held are listed. @default nowhere */
  readonly deltas?: DeltaSource;
  /** When and how fast it may serve. @default always, with no limit */
  readonly controls?: ServingControls;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Tells the deltas of a content that is held; none when there are none. */
export interface DeltaSource {
  deltasOf(contentId: string): Promise<readonly Delta[]>;
}

export interface ContentServerConfig {
  /** Least time between two messages of what is here of an arriving content. @default 250 */
  readonly holdingsIntervalMs: number;
  /** Time between two looks whether a content that is watched is still here. @default 5_000 */
  readonly letGoPollMs: number;
  /** Answers of fetches that one caller has in memory at once. @default 32 */
  readonly callerAnswersMax: number;
  /** Manifests and lists of deltas that one caller is told at once. @default 8 */
  readonly callerListsMax: number;
}

export const defaultContentServerConfig: ContentServerConfig = {
  holdingsIntervalMs: 250,
  letGoPollMs: 5_000,
  callerAnswersMax: 32,
  callerListsMax: 8,
};

export class ContentServer {
  readonly #needs: ContentServerNeeds;
  readonly #config: ContentServerConfig;
  readonly #arriving: ArrivingContents;
  readonly #held: HeldContents;
  readonly #answers: FetchAnswers;
  readonly #turns: TurnsPerKey;
  readonly #listTurns: TurnsPerKey;
  readonly #gate: ServingGate;

  constructor(needs: ContentServerNeeds, config: Partial<ContentServerConfig> = {}) {
    this.#needs = needs;
    this.#config = { ...defaultContentServerConfig, ...config };
    this.#arriving = needs.arriving ?? new ArrivingContents();
    this.#held = new HeldContents(needs.library, this.#arriving);
    this.#answers = new FetchAnswers(needs);
    this.#turns = new TurnsPerKey(this.#config.callerAnswersMax);
    this.#listTurns = new TurnsPerKey(this.#config.callerListsMax);
    this.#gate = new ServingGate(needs.controls);
  }

  /** What was given away since this program began, in bytes: content, manifests and lists of deltas. */
  get sentBytes(): number {
    return this.#gate.sentBytes;
  }

  /** What the RPC server serves. */
  conversation(): Conversation<'Content'> {
    return {
      getManifest: (request, context) =>
        this.#inTurn(context, (call) => this.#manifest(request, call)),
      watchHoldings: (request, context) => this.#holdings(request, context),
      fetch: (requests, context) => this.#fetch(requests, context),
      listDeltas: (request, context) => this.#deltas(request, context),
    };
  }

  /** What a caller is told has a few MiB in memory while it is on its way, however slowly it is read. */
  async *#inTurn<T>(
    context: CallContext,
    answers: (call: ServedCall) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    const { caller, signal } = context;
    const endTurn = await this.#listTurns.take(toIdentityUri(caller.identity), signal);
    using call = this.#gate.open(context);
    try {
      yield* answers(call);
    } finally {
      endTurn();
    }
  }

  async *#manifest(
    request: GetManifestRequest__Output,
    call: ServedCall,
  ): AsyncGenerator<ManifestPart> {
    call.begin(request.priority);
    const name = requireContentName(request.content);
    for await (const part of manifestParts(this.#held, name, rangeOf(request))) {
      for await (const chunk of call.cut(part)) yield { chunk };
    }
  }

  #holdings(
    { content, priority }: WatchHoldingsRequest__Output,
    { signal }: CallContext,
  ): AsyncGenerator<Holdings> {
    const { clock, controls } = this.#needs;
    const { holdingsIntervalMs: intervalMs, letGoPollMs } = this.#config;
    const [held, arriving] = [this.#held, this.#arriving];
    const watch = { held, arriving, clock, signal, intervalMs, letGoPollMs };
    const hours = controls && { hours: controls.hours, priority: toPriority(priority) ?? 2 };
    return openHoldings(requireContentName(content), watch, hours);
  }

  /** A stream is a group of its own: whoever fetches seldom wants what another one wants just then. */
  async *#fetch(
    requests: AsyncIterable<FetchRequest__Output>,
    context: CallContext,
  ): AsyncGenerator<EncodedAnswer> {
    const { caller, signal } = context;
    const callerUri = toIdentityUri(caller.identity);
    const stream = Symbol('fetch stream');
    const leave = this.#needs.pieceSource.join(stream);
    const counts = { answers: 0, notHere: 0 };
    using call = this.#gate.open(context);
    const pending = requests[Symbol.asyncIterator]();
    try {
      for (let next = await pending.next(); !next.done; next = await pending.next()) {
        const request = next.value;
        call.begin(request.priority);
        const endTurn = await this.#turns.take(callerUri, signal);
        try {
          const { bytes, done, isHere } = await this.#answers.answer(stream, requireItem(request));
          counts.answers += 1;
          if (!isHere) counts.notHere += 1;
          yield* answerParts(bytes, request, { call, requests: pending });
          // Not when the call is over: then the transport may still have the memory.
          done();
        } finally {
          endTurn();
        }
      }
    } finally {
      await pending.return?.();
      leave();
      this.#needs.logger.debug({ caller: callerUri, ...counts }, 'Fetch stream ended');
    }
  }

  async *#deltas(
    { content, priority }: ListDeltasRequest__Output,
    context: CallContext,
  ): AsyncGenerator<DeltaList> {
    const name = requireContentName(content);
    const arriving = this.#held.findArriving(name);
    if (arriving && !(await this.#held.isHeld(name))) {
      yield* untilDeltasAreKnown(arriving, this.#arriving, context.signal);
    }
    yield* this.#inTurn(context, (call) => this.#lists(name, priority, call));
  }

  async *#lists(name: ContentName, priority: unknown, call: ServedCall): AsyncGenerator<DeltaList> {
    call.begin(priority);
    for await (const list of this.#knownDeltas(name)) {
      await call.takeAll(deltaListLength(list));
      yield list;
    }
  }

  async *#knownDeltas(name: ContentName): AsyncGenerator<DeltaList> {
    const arriving = this.#held.findArriving(name);
    const isHeld = await this.#held.isHeld(name);
    if (!arriving && !isHeld) throw notHeld(name);
    const known = isHeld ? await this.#needs.deltas?.deltasOf(name.contentId) : undefined;
    yield* deltaLists([...(known ?? []), ...(arriving?.deltas.used ?? [])]);
  }
}

/** Which bytes of a manifest are asked for; all where nothing is said. @throws MESSAGE_INVALID */
function rangeOf({ offsetBytes, bytesMax }: GetManifestRequest__Output): ManifestRange {
  const range = { min: 0, max: Number.MAX_SAFE_INTEGER };
  return {
    offsetBytes: requireCount('offset_bytes', offsetBytes, range),
    bytesMax: bytesMax || Number.POSITIVE_INFINITY,
  };
}
