import {
  constants,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Server } from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { Allowance } from './allowance.ts';
import { type AuditEvent, unauthenticated } from './audit-event.ts';
import { allClosed, grpcListenersOf } from './grpc-listeners.ts';
import { onGrpcRefusal, pathOf } from './grpc-refusal.ts';
import { gateTo } from './listener-gate.ts';
import type { Flow } from './peer-limits.ts';
import { refusalOfHeaders, refuseCall } from './refused-call.ts';

/** How many strangers may be connected, for how long, and how often they may ask. */
export interface EnrollmentConnectionsConfig {
  /** Connections at once, of all callers. @default 64 */
  readonly connectionsMax: number;
  /** Connections at once of one address; of IPv6, of one /64. @default 8 */
  readonly connectionsPerAddressMax: number;
  /** Connections one address may begin. @default 10 a second, 50 after a rest */
  readonly newConnections: Flow;
  /** Calls on one connection; a further one ends it. @default 8 */
  readonly callsPerConnectionMax: number;
  /** Calls of one address. No fewer than its connections: who asks once on each is never refused. @default 10 a second, 50 after a rest */
  readonly calls: Flow;
  /** Calls of all together. @default 200 a second, 1,000 after a rest */
  readonly callsOfAll: Flow;
  /** From the first byte of a connection to its first whole request. @default 10_000 */
  readonly firstRequestMsMax: number;
  /** From the first byte of a connection to its end, whatever happens on it. @default 30_000 */
  readonly connectionMsMax: number;
  /** Bytes that may come on one connection, TLS and HTTP/2 included. @default 256 KiB */
  readonly connectionBytesMax: number;
}

/** A connection, from before TLS on. */
interface Visit {
  readonly socket: Socket;
  readonly address: string;
  readonly of: AddressRecord;
  readonly timers: readonly NodeJS.Timeout[];
  /** Whole requests that have no answer yet. */
  requestCount: number;
  /** Whether somebody has guessed on it. */
  isOfGuesser: boolean;
  callCount: number;
}

interface AddressRecord {
  readonly begun: Allowance;
  readonly calls: Allowance;
  count: number;
}

/** How often addresses without a connection are looked at, whether they may be forgotten. */
const forgetMs = 1_000;
/** How often it is looked at how much has come. */
const lookMs = 50;

/**
 * The connections of the enrollment port, where anybody may knock: few at once, few of one address, none
 * for long. Counted from the first byte, before TLS costs anything. Who comes when all places are taken
 * gets that of one who has guessed, else that of the oldest who waits for no answer: an honest caller asks at
 * once, and one that only holds a place grows old. Calls are counted before anything of them is read: a stranger may
 * not choose how much work we do. Whose connection brings more than requests can be loses it, and his address gets no
 * other before what it may begin after a rest is earned again.
 */
export class EnrollmentConnections {
  readonly #config: EnrollmentConnectionsConfig;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #onRefused: (address: string, reason: string) => void;
  readonly #onRefusedCall: (event: AuditEvent) => void;
  readonly #listeners = new Set<Http2SecureServer>();
  /** By address and port, the oldest first. */
  readonly #visits = new Map<string, Visit>();
  /** Addresses with a connection, and those that had one a few seconds ago. */
  readonly #addresses = new Map<string, AddressRecord>();
  readonly #callsOfAll: Allowance;
  #forgotAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    config: EnrollmentConnectionsConfig,
    needs: {
      readonly clock: Pick<Clock, 'monotonicMs'>;
      readonly onRefused: (address: string, reason: string) => void;
      /** A call that gRPC has refused by itself. */
      readonly onRefusedCall: (event: AuditEvent) => void;
    },
  ) {
    this.#config = config;
    this.#clock = needs.clock;
    this.#callsOfAll = new Allowance(config.callsOfAll, needs.clock.monotonicMs());
    this.#onRefused = needs.onRefused;
    this.#onRefusedCall = needs.onRefusedCall;
  }

  /** Takes over a server that listens, before its first connection. */
  attach(server: Server): void {
    for (const listener of grpcListenersOf(server)) this.#attachTo(listener);
  }

  /** Resolves when the server listens no more and its last connection is closed. */
  closed(): Promise<void> {
    return allClosed(this.#listeners);
  }

  /** Closes every connection now. */
  destroyAll(): void {
    for (const { socket } of this.#visits.values()) socket.destroy();
  }

  /**
   * A connection keeps its place while a request of it is answered.
   *
   * @param peer address and port, as gRPC names them
   * @returns what is to be called when it is over, and when the request was but a guess: then it may have to
   *   give way, whatever it waits for
   */
  answering(peer: string): { onAnswered: () => void; onGuess: () => void } {
    const visit = this.#visits.get(peer);
    if (!visit) return { onAnswered: () => {}, onGuess: () => {} };
    visit.requestCount += 1;
    clearTimeout(visit.timers[0]);
    return {
      onAnswered: () => {
        visit.requestCount -= 1;
      },
      onGuess: () => {
        visit.isOfGuesser = true;
      },
    };
  }

  #attachTo(listener: Http2SecureServer): void {
    this.#listeners.add(listener);
    const looking = setInterval(() => this.#look(), lookMs).unref();
    listener.once('close', () => clearInterval(looking));
    // Before the listener of TLS: what is one too many costs no handshake.
    listener.prependListener('connection', (socket: Socket) => this.#take(socket));
    listener.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      const reason = reasonOfFailure(error);
      if (reason) this.#onRefused(addressOf(socket), reason);
      socket.destroy();
    });
    gateTo(listener, 'stream', (pass, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) =>
      this.#called(pass, stream, headers),
    );
  }

  /**
   * What is too much never reaches gRPC, nor what is compressed, for it would unpack each of many small messages at
   * once.
   */
  #called(pass: () => void, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const address = stream.session?.socket.remoteAddress ?? 'unknown address';
    const caller = unauthenticated;
    const error = this.#refusalOfCall(stream) ?? refusalOfHeaders(headers);
    if (!error) {
      onGrpcRefusal(stream, headers, (refusal) =>
        this.#onRefusedCall({ caller, address, ...refusal }),
      );
      pass();
      return;
    }
    // Nobody else listens for its errors.
    stream.on('error', () => {});
    refuseCall(stream, error);
    // Not a byte of what he sends is waited for.
    stream.close(constants.NGHTTP2_NO_ERROR);
    const method = pathOf(headers);
    const detail = error.code === 'RECEIVER_BUSY' ? 'too many calls' : 'compressed';
    this.#onRefusedCall({ caller, address, method, result: error.code, detail });
  }

  #refusalOfCall({ session }: ServerHttp2Stream): WaybillError | undefined {
    const visit = session && this.#visits.get(peerOf(session.socket));
    // It has left, and nobody hears an answer.
    if (!visit) return undefined;
    const { callsPerConnectionMax, calls, callsOfAll } = this.#config;
    visit.callCount += 1;
    if (visit.callCount > callsPerConnectionMax) {
      visit.socket.destroy();
      return tooMany('calls on one connection', callsPerConnectionMax);
    }
    const nowMs = this.#clock.monotonicMs();
    const { of } = visit;
    if (of.calls.waitMs(nowMs) > 0)
      return tooMany('calls of one address a second', calls.perSecond);
    if (this.#callsOfAll.waitMs(nowMs) > 0) return tooMany('calls a second', callsOfAll.perSecond);
    of.calls.take(1, nowMs);
    this.#callsOfAll.take(1, nowMs);
    return undefined;
  }

  #take(socket: Socket): void {
    const address = socket.remoteAddress ?? 'unknown address';
    const nowMs = this.#clock.monotonicMs();
    this.#forget(nowMs);
    const record = this.#recordOf(addressGroupOf(address), nowMs);
    const refusal = this.#refusalOf(record, nowMs);
    if (refusal !== undefined) {
      this.#onRefused(address, refusal);
      socket.destroy();
      return;
    }
    this.#enter(socket, address, record);
  }

  #refusalOf(record: AddressRecord, nowMs: number): string | undefined {
    const { connectionsMax, connectionsPerAddressMax, newConnections } = this.#config;
    if (record.begun.waitMs(nowMs) > 0) {
      return `more than ${newConnections.perSecond} new connections a second`;
    }
    record.begun.take(1, nowMs);
    const hasPlace =
      (record.count < connectionsPerAddressMax || this.#makeRoom(record)) &&
      (this.#visits.size < connectionsMax || this.#makeRoom());
    return hasPlace ? undefined : 'too many connections';
  }

  /**
   * Ends a connection, of one address or of all: the oldest of somebody who guesses, else the oldest that waits for
   * no answer.
   *
   * @returns whether there was one
   */
  #makeRoom(of?: AddressRecord): boolean {
    const visits = [...this.#visits].filter(([, visit]) => !of || visit.of === of);
    const leaving =
      visits.find(([, { isOfGuesser }]) => isOfGuesser) ??
      visits.find(([, { requestCount }]) => requestCount === 0);
    if (!leaving) return false;
    const [peer, visit] = leaving;
    this.#left(peer, visit);
    this.#onRefused(visit.address, 'too many connections: the oldest gave way');
    visit.socket.destroy();
    return true;
  }

  #enter(socket: Socket, address: string, record: AddressRecord): void {
    const { firstRequestMsMax, connectionMsMax } = this.#config;
    const peer = peerOf(socket);
    const end = () => socket.destroy();
    const timers = [setTimeout(end, firstRequestMsMax), setTimeout(end, connectionMsMax)];
    const counts = { requestCount: 0, callCount: 0, isOfGuesser: false };
    const visit = { socket, address, of: record, timers, ...counts };
    this.#visits.set(peer, visit);
    record.count += 1;
    socket.once('close', () => this.#left(peer, visit));
  }

  /** Frames that are no requests cost time as well, and no call of ours hears of them. */
  #look(): void {
    const { connectionBytesMax, newConnections } = this.#config;
    for (const [peer, visit] of this.#visits) {
      if (visit.socket.bytesRead <= connectionBytesMax) continue;
      this.#left(peer, visit);
      visit.of.begun.take(newConnections.burst, this.#clock.monotonicMs());
      this.#onRefused(visit.address, `more than ${connectionBytesMax} bytes on a connection`);
      visit.socket.destroy();
    }
  }

  #left(peer: string, visit: Visit): void {
    for (const timer of visit.timers) clearTimeout(timer);
    if (this.#visits.get(peer) !== visit) return;
    this.#visits.delete(peer);
    visit.of.count -= 1;
  }

  #recordOf(key: string, nowMs: number): AddressRecord {
    const known = this.#addresses.get(key);
    if (known) return known;
    const { newConnections, calls } = this.#config;
    const allowed = (flow: Flow) => new Allowance(flow, nowMs);
    const record = { begun: allowed(newConnections), calls: allowed(calls), count: 0 };
    this.#addresses.set(key, record);
    return record;
  }

  #forget(nowMs: number): void {
    if (nowMs - this.#forgotAtMs < forgetMs) return;
    this.#forgotAtMs = nowMs;
    for (const [key, { begun, calls, count }] of this.#addresses) {
      if (count > 0 || !begun.isFull(nowMs) || !calls.isFull(nowMs)) continue;
      this.#addresses.delete(key);
    }
  }
}

function tooMany(what: string, limit: number): WaybillError {
  return new WaybillError({ code: 'RECEIVER_BUSY', what, limit });
}

/** As gRPC names the other end of a connection. */
function peerOf({
  remoteAddress,
  remotePort,
}: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress}:${remotePort}`;
}

/**
 * Whom addresses are counted for together: an IPv4 address, also one inside IPv6, for itself; of IPv6 its
 * /64, since a single machine has a whole one to choose from.
 */
export function addressGroupOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').split('::', 2);
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros =
    tail === undefined ? [] : Array(Math.max(0, 8 - before.length - after.length)).fill('0');
  const groups = [...before, ...zeros, ...after].slice(0, 4);
  return `${groups.map((group) => group.toLowerCase().replace(/^0+(?=.)/, '')).join(':')}::/64`;
}

/** Undefined when it was the caller who gave up, as one does who looks for the root only. */
function reasonOfFailure({ code = 'unknown' }: NodeJS.ErrnoException): string | undefined {
  if (code === 'ECONNRESET' || code === 'EPIPE') return undefined;
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'the handshake took too long';
  return `the handshake failed (${code})`;
}

/** A TLS socket that failed has no address; the TCP socket under it knows. */
function addressOf(socket: TLSSocket & { _parent?: Socket }): string {
  return socket.remoteAddress ?? socket._parent?.remoteAddress ?? 'unknown address';
}
