import { constants, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { unauthenticated } from './audit-event.ts';
import { type CallWatchNeeds, GuardedCall } from './guarded-call.ts';
import type { PeerRecord } from './peer-record.ts';
import { receiveWindowBytes, smallWindowBytes } from './rpc-limits.ts';

/** One connection of a peer that has shown who it is, and what is to be watched of it. */
export class GuardedConnection {
  readonly peer: PeerRecord;
  /** IP address and port. */
  readonly address: string;
  readonly #session: ServerHttp2Session;
  readonly #socket: Socket;
  readonly #needs: CallWatchNeeds;
  readonly #calls = new Set<GuardedCall>();
  readonly #openedAtMs: number;
  #isGreeted = false;
  #isCut = false;
  #idleSinceMs: number;
  /** Bytes of messages of calls that are over, and what may still come of them. */
  #pastBytes = 0;
  #seen: { allBytes: number; messageBytes: number };

  constructor(
    parts: { session: ServerHttp2Session; socket: Socket; peer: PeerRecord; address: string },
    needs: CallWatchNeeds,
  ) {
    this.#session = parts.session;
    this.#socket = parts.socket;
    this.peer = parts.peer;
    this.address = parts.address;
    this.#needs = needs;
    this.#openedAtMs = needs.clock.monotonicMs();
    this.#idleSinceMs = this.#openedAtMs;
    // The handshake is counted by its address.
    this.#seen = { allBytes: this.#socket.bytesRead, messageBytes: 0 };
    this.#session.once('remoteSettings', () => {
      this.#isGreeted = true;
    });
    this.#session.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code?.startsWith('ERR_HTTP2')) this.atFault();
    });
  }

  /** Who it is of, as the audit trail says it. */
  get caller(): string {
    const { identity } = this.peer;
    return identity ? toIdentityUri(identity) : unauthenticated;
  }

  /** Bytes that have come for its calls and no method has taken yet. */
  get heldBytes(): number {
    return this.#isCut ? 0 : sumOf(this.#calls, (call) => call.heldBytes);
  }

  /** Lets a peer that sends content put enough of it in flight. */
  openWindow(): void {
    this.#session.setLocalWindowSize(receiveWindowBytes);
    if (this.#isOfSite) this.#session.settings({ initialWindowSize: receiveWindowBytes });
  }

  /** Follows a call until it is over. */
  watch(
    stream: ServerHttp2Stream,
    of: { readonly bringsOne: boolean; readonly onRefused: (limit: string) => void },
  ): GuardedCall {
    const onFault = () => this.atFault();
    const { messages } = this.peer;
    const call = new GuardedCall(stream, { ...this.#needs, ...of, messages, onFault });
    this.#calls.add(call);
    this.peer.callCount += 1;
    stream.once('close', () => {
      this.#calls.delete(call);
      this.peer.callCount -= 1;
      // What was on its way when the call ended is nobody's fault, unless the call was one.
      const isExcused = !call.hasAll && !call.isAtFault;
      this.#pastBytes += call.messageBytes + (isExcused ? this.#windowBytes : 0);
      this.#idleSinceMs = this.#needs.clock.monotonicMs();
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
        this.peer.takenBackCalls.take(1, this.#idleSinceMs);
      }
    });
    return call;
  }

  /** The limit it is over, in words, when that is a reason to close it. */
  overLimit(nowMs: number): string | undefined {
    const { greetingMsMax } = this.#needs.limits;
    if (!this.#isGreeted && nowMs - this.#openedAtMs > greetingMsMax) {
      return `${greetingMsMax} ms from the handshake to the first settings`;
    }
    this.peer.overheadBytes.take(this.#newOverheadBytes(), nowMs);
    return this.peer.overLimit(nowMs);
  }

  /** Its peer did what no agent of ours ever does. */
  atFault(): void {
    this.peer.faults.take(1, this.#needs.clock.monotonicMs());
  }

  /** It has closed: what came on it since the last look counts, too. */
  left(): void {
    // What a call still had to take is excused; who is gone says no more of it.
    const excusedBytes = this.#calls.size * this.#windowBytes;
    const bytes = Math.max(0, this.#newOverheadBytes() - excusedBytes);
    this.peer.overheadBytes.take(bytes, this.#needs.clock.monotonicMs());
  }

  /** Ends the calls that are over a limit. @param onEnded gets each limit in words */
  endCalls(nowMs: number, onEnded: (limit: string) => void): void {
    for (const call of this.#calls) {
      call.endIfAnswered(nowMs);
      const limit = call.overLimit(nowMs);
      if (limit === undefined) continue;
      call.end();
      onEnded(limit);
    }
  }

  /** Says goodbye when nobody has called for long. */
  endIfIdle(nowMs: number): void {
    const { idleMsMax } = this.#needs.limits;
    const isIdle = this.#calls.size === 0 && nowMs - this.#idleSinceMs > idleMsMax;
    if (isIdle && !this.#isOfSite) this.#session.close();
  }

  /** Closes it now. */
  cut(): void {
    this.#isCut = true;
    if (!this.#session.destroyed)
      this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    this.#socket.destroy();
  }

  get #isOfSite(): boolean {
    return this.peer.identity?.kind === 'site';
  }

  get #windowBytes(): number {
    return this.#isOfSite ? receiveWindowBytes : smallWindowBytes;
  }

  /** Bytes since the last look that came for no message, without what goes with messages anyway. */
  #newOverheadBytes(): number {
    const messageBytes = this.#pastBytes + sumOf(this.#calls, (call) => call.messageBytes);
    const seen = { allBytes: this.#socket.bytesRead, messageBytes };
    const newBytes = seen.allBytes - this.#seen.allBytes;
    const newMessageBytes = seen.messageBytes - this.#seen.messageBytes;
    this.#seen = seen;
    return Math.max(0, newBytes - newMessageBytes * (1 + this.#needs.limits.overheadShare));
  }
}

function sumOf<T>(all: Iterable<T>, part: (one: T) => number): number {
  let sum = 0;
  for (const one of all) sum += part(one);
  return sum;
}
