import type { Http2SecureServer } from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Server } from '@grpc/grpc-js';
import type { ConnectionGuard } from './connection-guard.ts';
import { allClosed, grpcListenersOf } from './grpc-listeners.ts';
import { connectionsMax } from './rpc-limits.ts';

/**
 * What grpc-js keeps to itself about a server's connections and we must reach: its listeners, for the
 * guard, refused handshakes, who has connected, and sockets that a stop must close. The one place that
 * looks inside grpc-js; a test measures the window that the guard opens and fails should this stop
 * working.
 *
 * @see https://github.com/grpc/grpc-node/pull/3058
 */
export class ServerConnections {
  readonly #listeners = new Set<Http2SecureServer>();
  readonly #sockets = new Set<Socket>();
  readonly #guard: ConnectionGuard;
  readonly #onRefused: (address: string, reason: string) => void;
  readonly #onConnected: (socket: TLSSocket) => void;

  constructor(needs: {
    readonly guard: ConnectionGuard;
    /** TLS let a caller not in. */
    readonly onRefused: (address: string, reason: string) => void;
    /** A handshake is done; no call has come yet. */
    readonly onConnected: (socket: TLSSocket) => void;
  }) {
    this.#guard = needs.guard;
    this.#onRefused = needs.onRefused;
    this.#onConnected = needs.onConnected;
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
    for (const socket of this.#sockets) socket.destroy();
  }

  #attachTo(listener: Http2SecureServer): void {
    this.#listeners.add(listener);
    listener.maxConnections = connectionsMax;
    // After HTTP/2 itself, which takes no socket that is closed already; before the guard, which stands in
    // front of all who listen now.
    listener.on('secureConnection', (socket: TLSSocket) => this.#onConnected(socket));
    this.#guard.attach(listener);
    listener.on('connection', (socket: Socket) => this.#keep(socket));
    listener.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      const reason = reasonOfRefusal(error, socket);
      if (reason) this.#onRefused(addressOf(socket), reason);
      socket.destroy();
    });
  }

  #keep(socket: Socket): void {
    // Node keeps the address of a socket that has closed only when somebody asked for it before.
    void socket.remoteAddress;
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

/** Why a handshake failed, by the error codes of Node and OpenSSL. */
const refusalReasons: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'no certificate',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'no TLS 1.3',
  ERR_SSL_HTTP_REQUEST: 'plain HTTP',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS',
  ERR_TLS_HANDSHAKE_TIMEOUT: 'the handshake took too long',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  CERT_NOT_YET_VALID: 'the certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is not from our CA',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate is not from our CA',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is not from our CA',
  UNABLE_TO_GET_ISSUER_CERT: 'the certificate is not from our CA',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate is not from our CA',
  CERT_SIGNATURE_FAILURE: 'the certificate is not from our CA',
  INVALID_PURPOSE: 'the certificate is not made for clients',
};

/** Undefined when it was the caller who gave up: nothing was refused. */
function reasonOfRefusal(error: NodeJS.ErrnoException, socket: TLSSocket): string | undefined {
  // Node gives the code of a certificate that was refused; its types say Error.
  const refusal = socket.authorizationError as unknown as string | null | undefined;
  const code = refusal ?? error.code ?? 'unknown';
  if (code === 'ECONNRESET' || code === 'EPIPE') return undefined;
  return refusalReasons[code] ?? `the handshake failed (${code})`;
}

/** A TLS socket that was refused is closed and has no address; the TCP socket under it knows. */
function addressOf(socket: TLSSocket & { _parent?: Socket }): string {
  return socket.remoteAddress ?? socket._parent?.remoteAddress ?? 'unknown address';
}
