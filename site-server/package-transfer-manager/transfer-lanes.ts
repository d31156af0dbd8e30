import type { ContentItem } from '../../shared/content-source/content-item.ts';
import type { EncodedMessage } from '../../shared/content-source/piece-source.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { oneAtATime } from '../../shared/runtime/one-at-a-time.ts';
import { SerialQueue } from '../../shared/runtime/serial-queue.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';
import { type MessageFragment, partsOf } from '../../shared/transfer-arbiter/message-fragments.ts';
import type { TransferPermit } from '../../shared/transfer-arbiter/transfer-permit.ts';
import { PeerWait } from './peer-wait.ts';

/** One PutContent stream; the part of DuplexCall a lane needs. */
export interface PutContentStream {
  /** Takes an encoded message, or a part of one. Resolves when the transport wants more. */
  write(message: Buffer | { readonly fragment: MessageFragment }): Promise<void>;
  /** The next acknowledgement, or undefined when the DP ended the stream. */
  read(): Promise<object | undefined>;
  end(): void;
  cancel(): void;
}

export interface TransferLanesOptions {
  /** Streams at most; each has at most one message without acknowledgement. */
  readonly lanesMax: number;
  readonly openStream: () => Promise<PutContentStream>;
  readonly encode: (item: ContentItem) => Promise<EncodedMessage>;
  /** Asked before each part that leaves. */
  readonly permit: Pick<TransferPermit, 'takePart'>;
  readonly onSent: (item: ContentItem) => void;
  /** So many bytes of a message that leaves in parts have left. */
  readonly onPart?: (bytes: number) => void;
  readonly onAcknowledged: (item: ContentItem) => void;
  /** It could not be read here, or the DP, or what is between, failed it. */
  readonly onFailed?: (item: ContentItem, error: unknown) => void;
  readonly signal: AbortSignal;
  /** How long the DP may owe an answer; it is noticed after once to twice that. */
  readonly stallMs: number;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** What a lane fails with whose DP owed an answer for too long. */
  readonly toStalled: () => Error;
}

/**
 * Sends items over several streams. A stream waits for the acknowledgement of its message before
 * it sends the next, so a lost DP costs at most one message a stream; several streams keep reading,
 * encryption, the link and the DP's writing busy at the same time.
 *
 * @param items is closed at the end, whatever happened
 * @throws whatever the first failing lane met; the others are cancelled; the signal's reason
 */
export async function sendItems(
  items: AsyncGenerator<ContentItem, void>,
  options: TransferLanesOptions,
): Promise<void> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const next = oneAtATime(items);
  const taking = new SerialQueue();
  const lane = () =>
    // The first reason counts: the lanes that are cancelled for it fail too.
    watchedLane(next, { ...options, taking }, signal).catch((error: unknown) =>
      failure.abort(error),
    );
  try {
    await Promise.all(Array.from({ length: options.lanesMax }, lane));
  } finally {
    await items.return();
  }
  signal.throwIfAborted();
}

/** What all lanes of a transfer have. */
interface LanesOptions extends TransferLanesOptions {
  /**
   * They take what may leave one after another, a message at a time: so a low limit that cuts messages
   * has one on its way in parts, not one for each lane, and a window that closes costs that one only.
   */
  readonly taking: SerialQueue;
}

/** A DP that is connected and does nothing must not hold a lane, whatever the others do. */
async function watchedLane(
  next: () => Promise<ContentItem | undefined>,
  options: LanesOptions,
  signal: AbortSignal,
): Promise<void> {
  const { stallMs, sleep, toStalled: toFailure } = options;
  const wait = new PeerWait();
  const first = await next();
  // A lane without work opens no stream, and is not watched: a package of one small file costs one.
  if (!first) return;
  const work = async (either: AbortSignal) => {
    try {
      await runLane({ first, next }, options, { signal: either, wait });
    } catch (error) {
      // A stream that was cancelled says only that.
      either.throwIfAborted();
      throw error;
    }
  };
  const progressCount = () => wait.progressCount();
  await unlessStalled(work, { signal, stallMs, sleep, progressCount, toFailure });
}

/** What one lane works with. */
interface Lane {
  readonly signal: AbortSignal;
  readonly wait: PeerWait;
}

async function runLane(
  { first, next }: { first: ContentItem; next: () => Promise<ContentItem | undefined> },
  options: LanesOptions,
  { signal, wait }: Lane,
): Promise<void> {
  signal.throwIfAborted();
  const stream = await wait.during(options.openStream);
  const onAbort = () => stream.cancel();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (let item: ContentItem | undefined = first; item; item = await next()) {
      signal.throwIfAborted();
      await sendItem(stream, item, { ...options, signal, wait });
    }
    stream.end();
    if ((await wait.during(() => stream.read())) !== undefined)
      throw brokeOff('with one acknowledgement too many');
  } catch (error) {
    stream.cancel();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function sendItem(
  stream: PutContentStream,
  item: ContentItem,
  lane: LanesOptions & Lane,
): Promise<void> {
  const { encode, onAcknowledged, onFailed, signal, wait } = lane;
  const message = await encode(item).catch((error: unknown) => {
    onFailed?.(item, error);
    throw error;
  });
  try {
    signal.throwIfAborted();
    await sendMessage(stream, message.bytes, { ...lane, onBegun: () => lane.onSent(item) });
    const answer = await wait.during(() => stream.read());
    if (answer === undefined) throw brokeOff('without an acknowledgement');
  } catch (error) {
    if (!signal.aborted) onFailed?.(item, error);
    // Before its memory is used again: nothing of a call that is cancelled is sent any more.
    stream.cancel();
    throw error;
  } finally {
    message.done();
  }
  onAcknowledged(item);
}

/** Sends a message as it may leave; the wait for that is nothing the DP has to answer for. */
async function sendMessage(
  stream: PutContentStream,
  bytes: Buffer,
  {
    permit,
    taking,
    signal,
    wait,
    onBegun,
    onPart,
  }: LanesOptions & Lane & { readonly onBegun: () => void },
): Promise<void> {
  let isBegun = false;
  const begin = () => {
    if (!isBegun) onBegun();
    isBegun = true;
  };
  const whole = await taking.run(async () => {
    for await (const { message, fragment } of partsOf(bytes, permit, signal)) {
      begin();
      if (message) return message;
      await wait.during(() => stream.write({ fragment }));
      onPart?.(fragment.data.length);
    }
    return undefined;
  });
  // Others may take meanwhile: what leaves in one is written by all lanes at the same time.
  if (whole) await wait.during(() => stream.write(whole));
}

function brokeOff(how: string): WaybillError {
  const reason = `it ended a content stream ${how}`;
  return new WaybillError({ code: 'PEER_FAILED', peer: 'distribution point', reason });
}
