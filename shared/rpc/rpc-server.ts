import type { TLSSocket } from 'node:tls';
import {
  logVerbosity,
  Server,
  type ServiceDefinition,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { CertifiedPeer } from '../domain/certificate-authority.ts';
import { WaybillError } from '../domain/errors.ts';
import { toIdentityUri } from '../domain/peer-identity.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import type { Logger } from '../runtime/logger.ts';
import { type AuditEvent, unauthenticated } from './audit-event.ts';
import { BoundedAudit, overLimitAuditConfig, refusedCallAuditConfig } from './bounded-audit.ts';
import { CallAnswerer, type UntypedImplementation } from './call-answerer.ts';
import { callPolicyInterceptor } from './call-policy-interceptor.ts';
import { shownPeerOf } from './certificate-trust.ts';
import { CertifiedSockets, type CutConnection } from './certified-sockets.ts';
import { ConnectionGuard, type OverLimit } from './connection-guard.ts';
import type { Conversation, ConversationName } from './conversation.ts';
import { HandshakeAudit } from './handshake-audit.ts';
import { messagePaceInterceptor } from './message-pace.ts';
import { MutualTlsServerCredentials } from './mutual-tls.ts';
import type { PeerCredentials } from './peer-credentials.ts';
import { defaultPeerLimits, type PeerLimits } from './peer-limits.ts';
import type { PeerTrust } from './peer-trust.ts';
import { PlatformServices } from './platform-services.ts';
import { defaultKeepalive, type Keepalive, messageBytesMax } from './rpc-limits.ts';
import { ServerConnections } from './server-connections.ts';
import { methodDefinitions } from './service-definitions.ts';

/** What a server needs. */
export interface RpcServerComponents {
  readonly credentials: PeerCredentials;
  readonly logger: Logger;
  /** Every refusal, refused handshakes included, and the result of every changing call. */
  readonly onAudit: (event: AuditEvent) => void;
  /** Whose certificates count. @default those of everybody whom TLS lets in */
  readonly trust?: PeerTrust;
  /** @default the machine's own */
  readonly clock?: Clock;
}

/** How a server is tuned. */
export interface RpcServerConfig {
  /** host:port to listen on; port 0 takes a free one. */
  readonly address: string;
  /** The site this agent belongs to; on a DP, the only site that may command it. */
  readonly siteCode: string;
  /** How long `stop` lets running calls go on. @default 2_000 */
  readonly shutdownGraceMs: number;
  /** @default defaultKeepalive */
  readonly keepalive: Keepalive;
  /** What one caller may take. @default defaultPeerLimits */
  readonly peerLimits: PeerLimits;
}

const defaultRpcServerConfig = {
  shutdownGraceMs: 2_000,
  keepalive: defaultKeepalive,
  peerLimits: defaultPeerLimits,
};

/**
 * The gRPC server of an agent: mutual TLS 1.3, the call policy in front of every method, our
 * conversations, reflection and health. Used by the wiring of site server and DP agent. Writes
 * nothing itself; what is to be written down goes to `onAudit`. A crash leaves nothing.
 */
export class RpcServer implements Component {
  readonly #components: RpcServerComponents;
  readonly #config: RpcServerConfig;
  readonly #server: Server;
  readonly #answerer: CallAnswerer;
  readonly #connections: ServerConnections;
  readonly #handshakes: HandshakeAudit;
  readonly #sockets: CertifiedSockets;
  readonly #served: string[] = [];
  readonly #parts = new Map<string, boolean>();
  #platform: PlatformServices | undefined;
  #port: number | undefined;
  #unlisten: (() => void) | undefined;
  #stopping: Promise<void> | undefined;

  constructor(
    components: RpcServerComponents,
    config: Pick<RpcServerConfig, 'address' | 'siteCode'> & Partial<RpcServerConfig>,
  ) {
    this.#components = components;
    this.#config = { ...defaultRpcServerConfig, ...config };
    // What gRPC would print to the console of this process, we throw or log ourselves.
    setLogVerbosity(logVerbosity.NONE);
    const { credentials, trust, onAudit, logger, clock = systemClock } = components;
    this.#handshakes = new HandshakeAudit({ onAudit, clock });
    const refusals = new BoundedAudit({ onAudit, clock }, refusedCallAuditConfig);
    const onRefusal = (event: AuditEvent) => refusals.record(event, event.caller);
    this.#answerer = new CallAnswerer({ logger, onAudit, onRefusal });
    const onCut = (cut: CutConnection) => this.#onCut(cut);
    this.#sockets = new CertifiedSockets({ credentials, trust, onCut });
    const guard = this.#newGuard(clock);
    this.#connections = new ServerConnections({
      guard,
      onRefused: (address, reason) => this.#handshakes.refused(address, reason),
      onConnected: (socket) => this.#sockets.take(socket),
    });
    const peerOf = (fingerprint256: string) => this.#sockets.peerOf(fingerprint256);
    const { siteCode } = this.#config;
    this.#server = new Server({
      'grpc.max_receive_message_length': messageBytesMax,
      'grpc.max_send_message_length': messageBytesMax,
      'grpc.keepalive_time_ms': this.#config.keepalive.timeMs,
      'grpc.keepalive_timeout_ms': this.#config.keepalive.timeoutMs,
      'grpc.enable_channelz': 0,
      interceptors: [
        messagePaceInterceptor(() => guard.countOfBeginning),
        callPolicyInterceptor({ siteCode, onAudit: onRefusal, peerOf, trust }),
      ],
    });
  }

  /** host:port it listens on, with the port that was free. Only after `start`. */
  get address(): string {
    if (this.#port === undefined) throw new Error('The server has not started');
    return this.#config.address.replace(/:\d+$/, `:${this.#port}`);
  }

  /** Answers a conversation with this implementation. Before `start`. */
  serve<C extends ConversationName>(conversation: C, implementation: Conversation<C>): void {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const answers: UntypedServiceImplementation = {};
    for (const [name, method] of methodDefinitions(conversation)) {
      const run = (implementation as Record<string, UntypedImplementation | undefined>)[name];
      if (!run) continue;
      definition[name] = {
        ...method,
        // Decoded when the method wants it: a thousand small messages that wait stay small.
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
      };
      answers[name] = this.#answerer.answer(method, run.bind(implementation));
    }
    this.#server.addService(definition, answers);
    this.#served.push(`waybill.v1.${conversation}`);
  }

  /** Tells whoever asks for health how a part of the agent is, besides what is served (ADM-7). */
  tellHealth(part: string, isWell: boolean): void {
    this.#parts.set(part, isWell);
    this.#platform?.tellPart(part, isWell);
  }

  /** Listens. @throws ADDRESS_IN_USE when another program does already */
  async start(): Promise<void> {
    this.#platform = new PlatformServices(this.#served);
    this.#platform.addTo(this.#server);
    for (const [name, isWell] of this.#parts) this.#platform.tellPart(name, isWell);
    const own = this.#components.credentials;
    const credentials = new MutualTlsServerCredentials(own);
    this.#unlisten = own.onChange?.(() => credentials.replace(own));
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(this.#config.address, credentials, (error, port) =>
        error ? reject(this.#toListenError(error)) : resolve(port),
      );
    });
    this.#connections.attach(this.#server);
    this.#components.logger.info({ address: this.address }, 'Listening');
  }

  /** Takes no new calls, lets the running ones end for the grace period, then cuts them off. */
  async stop(): Promise<void> {
    this.#unlisten?.();
    if (this.#port === undefined) return;
    this.#stopping ??= this.#stop();
    await this.#stopping;
  }

  async #stop(): Promise<void> {
    const { shutdownGraceMs } = this.#config;
    this.#platform?.stopServing();
    // Not the callback of tryShutdown: it never comes when a session is just being destroyed.
    const closed = this.#connections.closed();
    this.#server.tryShutdown(() => {});
    if (!(await isDoneWithin(shutdownGraceMs, closed))) {
      this.#connections.destroyAll();
      await closed;
    }
    if (!(await isDoneWithin(shutdownGraceMs, this.#answerer.idle()))) {
      this.#components.logger.warn({}, 'Calls that were cut off have not ended');
    }
  }

  #newGuard(clock: Clock): ConnectionGuard {
    const { onAudit } = this.#components;
    const audit = new BoundedAudit({ onAudit, clock }, overLimitAuditConfig);
    const onOverLimit = ({ caller, address, method, error }: OverLimit) => {
      const event = { caller, address, method, result: error.code, detail: error.message };
      audit.record(event, caller === unauthenticated ? address : caller);
    };
    const { credentials, trust } = this.#components;
    const peerOf = (socket: TLSSocket) =>
      shownPeerOf(socket.getPeerCertificate(true), credentials.ca);
    const isRefused = (peer: CertifiedPeer) => trust?.refusalOf(peer) !== undefined;
    const isKeptFor = (peer: CertifiedPeer) => isKeptPlaceFor(peer, trust);
    const needs = { clock, peerOf, isRefused, isKeptFor, onOverLimit };
    return new ConnectionGuard(needs, this.#config.peerLimits);
  }

  /** One that comes again and again is written down as seldom as any refused handshake. */
  #onCut({ peer, address, reason, isNew }: CutConnection): void {
    const caller = toIdentityUri(peer.identity);
    if (isNew) this.#handshakes.refused(address, reason, caller);
    else {
      const { logger, onAudit } = this.#components;
      logger.warn({ peerId: caller, address, reason }, 'Connection was cut');
      const result = 'CERTIFICATE_REFUSED';
      onAudit({ caller, address, method: 'connection', result, detail: reason });
    }
  }

  #toListenError(error: Error): Error {
    if (!error.message.includes('EADDRINUSE')) return error;
    const { address } = this.#config;
    return new WaybillError({ code: 'ADDRESS_IN_USE', address }, { cause: error });
  }
}

async function isDoneWithin(ms: number, work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  return Promise.race([work.then(() => true), late]).finally(() => clearTimeout(timer));
}

/** Any administrator is let in to read; there may be any number whom another site vouches for. */
function isKeptPlaceFor(peer: CertifiedPeer, trust: PeerTrust | undefined): boolean {
  const { kind } = peer.identity;
  if (kind !== 'admin') return kind === 'site';
  return trust?.isVouchedHere(peer, 'administrators') ?? true;
}
