import { WaybillError } from '../../shared/domain/errors.ts';
import type { ContentItem } from './content-item.ts';
import type { EncodedMessage } from './piece-source.ts';

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
  readonly signal: AbortSignal;
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
    runLane(next, options, signal).catch((error: unknown) => failure.abort(error));
  try {
    await Promise.all(Array.from({ length: options.lanesMax }, lane));
  } finally {
    await items.return();
  }
  signal.throwIfAborted();
}

async function runLane(
  next: () => Promise<ContentItem | undefined>,
  options: TransferLanesOptions,
  signal: AbortSignal,
): Promise<void> {
  let item = await next();
  // A lane without work opens no stream: a package of one small file costs one.
  if (!item) return;
  signal.throwIfAborted();
  const stream = await options.openStream();
  const onAbort = () => stream.cancel();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (; item; item = await next()) {
      signal.throwIfAborted();
      await sendItem(stream, item, { ...options, signal });
    }
    stream.end();
    if ((await stream.read()) !== undefined) throw brokeOff('with one acknowledgement too many');
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
  { encode, onSent, onAcknowledged, signal }: TransferLanesOptions,
): Promise<void> {
  const message = await encode(item);
  try {
    signal.throwIfAborted();
    onSent(item);
    await stream.write(message.bytes);
    if ((await stream.read()) === undefined) throw brokeOff('without an acknowledgement');
  } catch (error) {
    // Before its memory is used again: nothing of a call that is cancelled is sent any more.
    stream.cancel();
    throw error;
  } finally {
    message.done();
  }
  onAcknowledged(item);
}

/** Several lanes take from one iterator: a generator allows only one pull at a time. */
function oneAtATime(items: AsyncIterator<ContentItem>): () => Promise<ContentItem | undefined> {
  let last: Promise<unknown> = Promise.resolve();
  return () => {
    const pulled = last.then(async () => {
      const { done, value } = await items.next();
      return done ? undefined : value;
    });
    last = pulled.catch(() => undefined);
    return pulled;
  };
}

function brokeOff(how: string): WaybillError {
  const reason = `it ended a content stream ${how}`;
  return new WaybillError({ code: 'PEER_FAILED', peer: 'distribution point', reason });
}
