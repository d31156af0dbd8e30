import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../runtime/clock.ts';
import type { Allowance } from './allowance.ts';
import type { MessageCount } from './message-pace.ts';
import { headBytes, MessageWatch } from './message-watch.ts';
import type { PeerLimits } from './peer-limits.ts';

/** What a call is watched with. */
export interface CallWatchNeeds {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly limits: PeerLimits;
}

interface CallNeeds extends CallWatchNeeds {
  /** Whether its caller sends one message, and not a stream of them. */
  readonly bringsOne: boolean;
  /** Messages its caller may send, in all his calls. */
  readonly messages: Allowance;
  /** It was ended at once for the limit that is told in words. */
  readonly onRefused: (limit: string) => void;
  /** Its caller did what no agent of ours ever does. */
  readonly onFault: () => void;
}

/** One call of a peer, watched from below gRPC: what comes, how it is cut, and when. */
export class GuardedCall implements MessageCount {
  readonly #stream: ServerHttp2Stream;
  readonly #needs: CallNeeds;
  readonly #watch = new MessageWatch();
  /** Whether its caller did what no agent of ours ever does. */
  isAtFault = false;
  #readBytes = 0;
  #takenBytes = 0;
  #hasBegun = false;
  #lastByteMs = 0;
  #messageBeganMs = 0;
  #answeredAtMs: number | undefined;

  constructor(stream: ServerHttp2Stream, needs: CallNeeds) {
    this.#stream = stream;
    this.#needs = needs;
    stream.once('finish', () => {
      this.#answeredAtMs = needs.clock.monotonicMs();
    });
  }

  /** Whether its caller has said that no more will come. */
  get hasAll(): boolean {
    return this.#stream.readableEnded || this.#stream.endAfterHeaders;
  }

  /** Bytes of messages that have come, taken by a method or not. */
  get messageBytes(): number {
    return this.#readBytes + this.#stream.readableLength;
  }

  /**
   * Bytes that have come and no method has taken yet, wherever they wait: in HTTP/2 or in gRPC. A single
   * message is held as long as its call lasts, for gRPC keeps it; after the answer nothing is.
   */
  get heldBytes(): number {
    if (this.#stream.closed) return 0;
    const isAnswered = this.#answeredAtMs !== undefined;
    return isAnswered ? this.#stream.readableLength : this.messageBytes - this.#takenBytes;
  }

  messageWaitMs(): number {
    const nowMs = this.#needs.clock.monotonicMs();
    const { messages } = this.#needs;
    return messages.take(1, nowMs) ? 0 : messages.waitMs(nowMs);
  }

  messageTaken(bytes: number): void {
    this.#takenBytes += headBytes + bytes;
  }

  /** Reads along from now on; gRPC is to get the stream in the same turn. */
  begin(): void {
    this.#hasBegun = true;
    this.#lastByteMs = this.#needs.clock.monotonicMs();
    this.#stream.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  /** The limit it is over, in words. */
  overLimit(nowMs: number): string | undefined {
    if (!this.#hasBegun) return undefined;
    const { messageStallMsMax, messageMsMax, callSilenceMsMax } = this.#needs.limits;
    const { begunBytes } = this.#watch;
    const silentMs = nowMs - this.#lastByteMs;
    if (this.#waitsForBytes && silentMs > messageStallMsMax) {
      return `${messageStallMsMax} ms without a byte of a message`;
    }
    if (begunBytes > 0 && nowMs - this.#messageBeganMs > messageMsMax) {
      return `${messageMsMax} ms for a message`;
    }
    if (!this.hasAll && silentMs > callSilenceMsMax) return `${callSilenceMsMax} ms of silence`;
    return undefined;
  }

  /** Ends it when its answer has gone and its caller does not stop to send. */
  endIfAnswered(nowMs: number): void {
    if (this.#answeredAtMs === undefined || this.hasAll) return;
    const isLate = nowMs - this.#answeredAtMs > this.#needs.limits.afterAnswerMsMax;
    if (isLate) this.end(constants.NGHTTP2_NO_ERROR);
  }

  /** Ends it now, whatever its caller still has to say. */
  end(code: number = constants.NGHTTP2_ENHANCE_YOUR_CALM): void {
    if (!this.#stream.closed) this.#stream.close(code);
  }

  #take(chunk: Buffer): void {
    this.#lastByteMs = this.#needs.clock.monotonicMs();
    if (this.#watch.begunBytes === 0) this.#messageBeganMs = this.#lastByteMs;
    this.#readBytes += chunk.length;
    if (this.#watch.take(chunk) > 0) this.#messageBeganMs = this.#lastByteMs;
    // gRPC answers it; here it counts.
    if (this.#watch.isTooLong) this.#blame();
    // Now, before gRPC has the bytes: it would take them for what they are without compression.
    if (this.#watch.isCompressed) this.#refuse('a compressed message, which is not announced');
    const { messagePartsMax } = this.#needs.limits;
    if (this.#watch.partCount > messagePartsMax)
      this.#refuse(`${messagePartsMax} parts of a message`);
  }

  #refuse(limit: string): void {
    if (this.#stream.closed) return;
    this.#blame();
    this.end();
    this.#needs.onRefused(limit);
  }

  #blame(): void {
    if (!this.isAtFault) this.#needs.onFault();
    this.isAtFault = true;
  }

  /** Whether its method wants the rest of a message, or the only one and that it ends, and it has not come. */
  get #waitsForBytes(): boolean {
    const isBegun = this.#watch.begunBytes > 0 || this.#needs.bringsOne;
    return isBegun && this.#stream.readableLength === 0 && !this.hasAll;
  }
}
