import { once } from 'node:events';
import type { Http2SecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Server } from '@grpc/grpc-js';

/** How many strangers may be connected, and for how long. */
export interface EnrollmentConnectionsConfig {
  /** Connections at once, of all callers. @default 64 */
  readonly connectionsMax: number;
  /** Connections at once of one address; of IPv6, of one /64. @default 8 */
  readonly connectionsPerAddressMax: number;
  /** From the first byte of a connection to its end, whatever happens on it. @default 30_000 */
  readonly connectionMsMax: number;
}

/**
 * The connections of the enrollment port, where anybody may knock: few at once, few of one address, none
 * for long. Counted from the first byte, before TLS costs anything.
 */
export class EnrollmentConnections {
  readonly #config: EnrollmentConnectionsConfig;
  readonly #onRefused: (address: string, reason: string) => void;
  readonly #listeners = new Set<Http2SecureServer>();
  readonly #sockets = new Set<Socket>();
  /** Entries are as many as there are addresses with a connection. */
  readonly #counts = new Map<string, number>();

  constructor(
    config: EnrollmentConnectionsConfig,
    onRefused: (address: string, reason: string) => void,
  ) {
    this.#config = config;
    this.#onRefused = onRefused;
  }

  /** Takes over a server that listens, before its first connection. */
  attach(server: Server): void {
    // What grpc-js keeps to itself; see server-connections.ts.
    const listeners = (server as unknown as { http2Servers?: unknown }).http2Servers;
    if (!(listeners instanceof Map) || listeners.size === 0) {
      throw new Error('grpc-js no longer keeps its HTTP/2 servers in http2Servers');
    }
    for (const listener of listeners.keys()) this.#attachTo(listener as Http2SecureServer);
  }

  /** Resolves when the server listens no more and its last connection is closed. */
  async closed(): Promise<void> {
    const listeners = [...this.#listeners].filter((listener) => listener.listening);
    await Promise.all(listeners.map((listener) => once(listener, 'close')));
  }

  /** Closes every connection now. */
  destroyAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #attachTo(listener: Http2SecureServer): void {
    this.#listeners.add(listener);
    // Before the listener of TLS: what is one too many costs no handshake.
    listener.prependListener('connection', (socket: Socket) => this.#take(socket));
    listener.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      const reason = reasonOfFailure(error);
      if (reason) this.#onRefused(addressOf(socket), reason);
      socket.destroy();
    });
  }

  #take(socket: Socket): void {
    const key = addressGroupOf(socket.remoteAddress ?? '');
    const count = this.#counts.get(key) ?? 0;
    const { connectionsMax, connectionsPerAddressMax, connectionMsMax } = this.#config;
    if (this.#sockets.size >= connectionsMax || count >= connectionsPerAddressMax) {
      this.#onRefused(socket.remoteAddress ?? 'unknown address', 'too many connections');
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#counts.set(key, count + 1);
    const timer = setTimeout(() => socket.destroy(), connectionMsMax);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
      this.#countDown(key);
    });
  }

  #countDown(key: string): void {
    const count = (this.#counts.get(key) ?? 0) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
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
