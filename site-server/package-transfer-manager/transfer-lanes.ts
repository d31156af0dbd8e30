import type { ContentItem } from '../../shared/content-source/content-item.ts';
import type { EncodedMessage } from '../../shared/content-source/piece-source.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { oneAtATime } from '../../shared/runtime/one-at-a-time.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';

/** One PutContent stream; the part of DuplexCall a lane needs. */
export interface PutContentStream {
  /** Resolves when the transport wants more. */
  write(message: Buffer): Promise<void>;
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
  readonly onSent: (item: ContentItem) => void;
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
  const lane = () =>
    // The first reason counts: the lanes that are cancelled for it fail too.
    watchedLane(next, options, signal).catch((error: unknown) => failure.abort(error));
  try {
    await Promise.all(Array.from({ length: options.lanesMax }, lane));
  } finally {
    await items.return();
  }
  signal.throwIfAborted();
}

/** A DP that is connected and does nothing must not hold a lane, whatever the others do. */
async function watchedLane(
  next: () => Promise<ContentItem | undefined>,
  options: TransferLanesOptions,
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

/** Tells the time a lane waits for its DP from the time it waits for this side. */
class PeerWait {
  #count = 0;
  #isWaiting = false;

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#count += 1;
    this.#isWaiting = true;
    try {
      return await work();
    } finally {
      this.#isWaiting = false;
    }
  }

  /** The same only as long as one wait for the DP goes on. */
  progressCount(): number {
    if (!this.#isWaiting) this.#count += 1;
    return this.#count;
  }
}

/** What one lane works with. */
interface Lane {
  readonly signal: AbortSignal;
  readonly wait: PeerWait;
}

async function runLane(
  { first, next }: { first: ContentItem; next: () => Promise<ContentItem | undefined> },
  options: TransferLanesOptions,
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
  { encode, onSent, onAcknowledged, onFailed, signal, wait }: TransferLanesOptions & Lane,
): Promise<void> {
  const message = await encode(item).catch((error: unknown) => {
    onFailed?.(item, error);
    throw error;
  });
  try {
    signal.throwIfAborted();
    onSent(item);
    const answer = await wait.during(async () => {
      await stream.write(message.bytes);
      return stream.read();
    });
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

function brokeOff(how: string): WaybillError {
  const reason = `it ended a content stream ${how}`;
  return new WaybillError({ code: 'PEER_FAILED', peer: 'distribution point', reason });
}
