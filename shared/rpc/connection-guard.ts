import type {
  Http2SecureServer,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import { WaybillError } from '../domain/errors.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import type { Clock } from '../runtime/clock.ts';
import { AddressGate, type Evictable } from './address-gate.ts';
import type { GuardedCall } from './guarded-call.ts';
import { GuardedConnection } from './guarded-connection.ts';
import { type Holding, whoHoldsTooMuch } from './held-bytes.ts';
import { gateTo } from './listener-gate.ts';
import type { MessageCount } from './message-pace.ts';
import { defaultPeerLimits, type PeerLimits } from './peer-limits.ts';
import { PeerRecord } from './peer-record.ts';
import { refusalOfHeaders, refuseCall } from './refused-call.ts';
import { RefusedPeers } from './refused-peers.ts';
import { callerSendsOne } from './service-definitions.ts';

/** Somebody who was over a limit: a call or connection of his is refused or cut. */
export interface OverLimit {
  /** The identity in the certificate, or "unauthenticated". */
  readonly caller: string;
  readonly address: string;
  /** Full method, or "connection". */
  readonly method: string;
  readonly error: WaybillError;
}

interface GuardNeeds {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Who is at the other end of a socket, whose certificate TLS has verified. */
  readonly peerOf: (socket: TLSSocket) => CertifiedPeer | undefined;
  /** Whether a certificate counts for nothing: its connection will be closed, and whoever has a sound one of this name is not charged. */
  readonly isRefused: (peer: CertifiedPeer) => boolean;
  /** Whether it has to see to a crowd, and so must get in: a site, or an administrator who may set something here. */
  readonly isKeptFor: (peer: CertifiedPeer) => boolean;
  readonly onOverLimit: (event: OverLimit) => void;
}

/**
 * Stands between the sockets of a server and gRPC (SEC-4), and bounds what one caller may take:
 * connections, handshakes, calls, messages, memory, and whatever else costs time without being a
 * message. Who is over a limit waits where waiting helps; else a call, or all connections of that
 * peer, end, and it gets new ones when there is something left of what it has used up. Others go on. A crash
 * leaves nothing.
 */
export class ConnectionGuard {
  readonly #needs: GuardNeeds;
  readonly #limits: PeerLimits;
  readonly #addresses: AddressGate;
  readonly #peers = new Map<string, PeerRecord>();
  readonly #refused: RefusedPeers;
  readonly #connections = new Map<ServerHttp2Session, GuardedConnection>();
  readonly #proofs = new WeakMap<Socket, () => void>();
  /** The connection whose session is being made. */
  #entering: { socket: Socket; peer: PeerRecord; address: string } | undefined;
  #beginning: GuardedCall | undefined;
  #looking: NodeJS.Timeout | undefined;

  constructor(needs: GuardNeeds, limits: PeerLimits = defaultPeerLimits) {
    this.#needs = needs;
    this.#limits = limits;
    this.#addresses = new AddressGate(limits);
    this.#refused = new RefusedPeers(limits.refusedConnections);
  }

  /** Guards a listener of gRPC from now on; before its first connection. */
  attach(listener: Http2SecureServer): void {
    gateTo(listener, 'connection', (pass, socket: Socket) => this.#connected(pass, socket));
    gateTo(listener, 'secureConnection', (pass, socket: TLSSocket) => this.#proven(pass, socket));
    gateTo(listener, 'stream', (pass, stream: ServerHttp2Stream, headers: IncomingHttpHeaders) =>
      this.#called(pass, stream, headers),
    );
    listener.on('session', (session: ServerHttp2Session) => this.#opened(session));
    this.#looking ??= setInterval(() => this.look(), this.#limits.lookMs).unref();
    listener.once('close', () => clearInterval(this.#looking));
  }

  /** Counts the messages of the call that gRPC is just given. */
  get countOfBeginning(): MessageCount | undefined {
    return this.#beginning;
  }

  /** Looks at every connection; by itself every `lookMs`. */
  look(): void {
    const nowMs = this.#needs.clock.monotonicMs();
    for (const connection of this.#connections.values()) this.#lookAt(connection, nowMs);
    this.#cutWhoHoldsTooMuch();
    for (const [name, peer] of this.#peers) {
      peer.beginDue(nowMs);
      if (peer.isIdle(nowMs)) this.#peers.delete(name);
    }
    this.#refused.forget(nowMs);
    this.#addresses.forget(nowMs);
  }

  #lookAt(connection: GuardedConnection, nowMs: number): void {
    connection.endCalls(nowMs, (limit) => this.#tell(connection, 'a call', limit));
    connection.endIfIdle(nowMs);
    const limit = connection.overLimit(nowMs);
    if (limit !== undefined) this.#cut(connection, limit);
  }

  #cutWhoHoldsTooMuch(): void {
    for (const { peer, limit, isAtFault } of whoHoldsTooMuch(this.#holdings(), this.#limits)) {
      if (isAtFault) peer.faults.take(1, this.#needs.clock.monotonicMs());
      this.#cutAll(peer, limit);
    }
  }

  #holdings(): Holding<PeerRecord>[] {
    const held = new Map<PeerRecord, number>();
    for (const { peer, heldBytes } of this.#connections.values()) {
      if (heldBytes > 0) held.set(peer, (held.get(peer) ?? 0) + heldBytes);
    }
    return Array.from(held, ([peer, bytes]) => {
      return { peer, isSite: peer.identity?.kind === 'site', bytes };
    });
  }

  #cutAll(peer: PeerRecord, limit: string): void {
    for (const connection of this.#connections.values()) {
      if (connection.peer === peer) this.#cut(connection, limit);
    }
  }

  #connected(pass: () => void, socket: Socket): void {
    // Node keeps the address of a socket that has closed only when somebody asked for it before.
    const address = socket.remoteAddress ?? 'unknown address';
    let isGone = false;
    const leave = () => {
      if (!isGone) this.#addresses.left(address, connection, this.#needs.clock.monotonicMs());
      isGone = true;
    };
    const refuse = (limit: string) => {
      socket.destroy();
      this.#tell({ caller: 'unauthenticated', address }, 'connection', limit);
    };
    const connection: Evictable = {
      giveWay: (limit) => {
        leave();
        refuse(limit);
      },
    };
    const limit = this.#addresses.enter(address, connection, this.#needs.clock.monotonicMs());
    if (limit !== undefined) {
      refuse(limit);
      return;
    }
    this.#proofs.set(socket, () => this.#addresses.proven(address, connection));
    socket.once('close', leave);
    pass();
  }

  #proven(pass: () => void, secure: TLSSocket & { _parent?: Socket }): void {
    const socket = secure._parent ?? secure;
    this.#proofs.get(socket)?.();
    const certified = this.#needs.peerOf(secure);
    const nowMs = this.#needs.clock.monotonicMs();
    if (certified && this.#needs.isRefused(certified)) {
      const isTooOften = this.#refused.refused(nameOf(certified), nowMs);
      if (isTooOften) this.#addresses.refused(secure.remoteAddress ?? '', nowMs);
      pass();
      return;
    }
    const peer = this.#recordOf(certified, nowMs);
    const address = `${secure.remoteAddress}:${secure.remotePort}`;
    const limit = this.#limitOfConnections(peer, nowMs, certified);
    if (limit !== undefined) {
      if (peer.costsItsAddress(nowMs)) this.#addresses.refused(secure.remoteAddress ?? '', nowMs);
      secure.destroy();
      const caller = peer.identity ? toIdentityUri(peer.identity) : 'unauthenticated';
      this.#tell({ caller, address }, 'connection', limit);
      return;
    }
    this.#entering = { socket, peer, address };
    pass();
    this.#entering = undefined;
  }

  /** The limit that one more connection of a peer is over, in words. */
  #limitOfConnections(
    peer: PeerRecord,
    nowMs: number,
    certified: CertifiedPeer | undefined,
  ): string | undefined {
    const { connectionsPerPeerMax, connectionsOfAllMax } = this.#limits;
    const { connectionCount } = peer;
    const ofWhatItDid = peer.overLimit(nowMs);
    if (ofWhatItDid !== undefined) return ofWhatItDid;
    if (connectionCount >= connectionsPerPeerMax) {
      peer.refusedConnections.take(1, nowMs);
      return `${connectionsPerPeerMax} connections`;
    }
    const isKeptFor = certified && this.#needs.isKeptFor(certified);
    if (isKeptFor || this.#connections.size < connectionsOfAllMax) return undefined;
    return `${connectionsOfAllMax} connections in all`;
  }

  #opened(session: ServerHttp2Session): void {
    if (!this.#entering) return;
    const needs = { clock: this.#needs.clock, limits: this.#limits };
    const connection = new GuardedConnection({ ...this.#entering, session }, needs);
    this.#connections.set(session, connection);
    connection.peer.connectionCount += 1;
    connection.openWindow();
    session.once('close', () => {
      this.#connections.delete(session);
      connection.peer.connectionCount -= 1;
      connection.left();
    });
  }

  #called(pass: () => void, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // Until gRPC has it, nobody else listens for its errors.
    stream.on('error', () => {});
    const session = stream.session as ServerHttp2Session | undefined;
    const connection = session && this.#connections.get(session);
    if (!connection) {
      stream.close();
      return;
    }
    const { peer, caller, address } = connection;
    const path = String(headers[':path']);
    const invalid = refusalOfHeaders(headers);
    if (invalid) connection.atFault();
    const refusal = invalid ?? this.#refusalOfCount(peer, caller);
    if (refusal) {
      if (!peer.refused(this.#needs.clock.monotonicMs())) connection.atFault();
      refuseCall(stream, refusal);
      this.#needs.onOverLimit({ caller, address, method: path, error: refusal });
      return;
    }
    const call = connection.watch(stream, {
      bringsOne: callerSendsOne(path),
      onRefused: (limit) => this.#tell(connection, path, limit),
    });
    const begin = () => {
      call.begin();
      this.#beginning = call;
      pass();
      this.#beginning = undefined;
    };
    const isOver = () => stream.closed || stream.destroyed;
    peer.admit({ isOver, begin }, this.#needs.clock.monotonicMs());
  }

  #refusalOfCount(peer: PeerRecord, caller: string): WaybillError | undefined {
    const { callsPerPeerMax } = this.#limits;
    if (peer.callCount < callsPerPeerMax) return undefined;
    return overLimitError(caller, `${callsPerPeerMax} calls at once`);
  }

  /** By who vouches, too: what another authority says of somebody is not his doing. */
  #recordOf(certified: CertifiedPeer | undefined, nowMs: number): PeerRecord {
    const name = certified ? nameOf(certified) : '';
    const known = this.#peers.get(name);
    if (known) return known;
    const peer = new PeerRecord(certified?.identity, this.#limits, nowMs);
    this.#peers.set(name, peer);
    return peer;
  }

  #cut(connection: GuardedConnection, limit: string): void {
    connection.cut();
    this.#tell(connection, 'connection', limit);
  }

  #tell(who: { caller: string; address: string }, method: string, limit: string): void {
    const { caller, address } = who;
    this.#needs.onOverLimit({ caller, address, method, error: overLimitError(caller, limit) });
  }
}

function nameOf({ identity, voucher }: CertifiedPeer): string {
  return `${toIdentityUri(identity)} by ${voucher === 'root' ? voucher : voucher.siteCode}`;
}

function overLimitError(caller: string, limit: string): WaybillError {
  return new WaybillError({ code: 'PEER_OVER_LIMIT', caller, limit });
}
