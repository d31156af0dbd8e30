import { constants } from 'node:crypto';
import type { SecureServerOptions } from 'node:http2';
import type { SecureContextOptions } from 'node:tls';
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { WaybillError } from '../domain/errors.ts';
import { AbortError } from '../runtime/abort-error.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import type { Logger } from '../runtime/logger.ts';
import { toAnsweredFailure } from './answered-failure.ts';
import type { AuditEvent } from './audit-event.ts';
import { BoundedAudit } from './bounded-audit.ts';
import type { AnswerOf, MethodName, ReceivedRequestOf } from './conversation.ts';
import {
  EnrollmentConnections,
  type EnrollmentConnectionsConfig,
} from './enrollment-connections.ts';
import { HandshakeAudit } from './handshake-audit.ts';
import type { PeerCredentials } from './peer-credentials.ts';
import { headerCountMax, invalidFramesMax, settingsMax } from './rpc-limits.ts';
import { methodDefinitions, type UntypedMethod } from './service-definitions.ts';

/** Who calls on the enrollment port: nobody knows, but from where. */
export interface Stranger {
  /** IP address, without the port. */
  readonly address: string;
  /** Fires when the call is over, or has taken too long. */
  readonly signal: AbortSignal;
  /** To be called when he has only guessed: his connection gives way to others before any else. */
  readonly onGuess?: () => void;
}

/** What answers the Enrollment conversation. Failures are WaybillErrors. */
export type EnrollmentAnswers = {
  readonly [M in MethodName<'Enrollment'>]: (
    request: ReceivedRequestOf<'Enrollment', M>,
    stranger: Stranger,
  ) => Promise<AnswerOf<'Enrollment', M>>;
};

/** What the enrollment port needs. */
export interface EnrollmentServerComponents {
  /** The site's own; the newest is shown. */
  readonly credentials: PeerCredentials & {
    readonly onChange?: (listener: () => void) => () => void;
  };
  /** PEM of the roots, shown after the site's own chain: a new machine has none yet, and only a hash. */
  readonly roots: () => readonly string[];
  readonly answers: EnrollmentAnswers;
  /** Handshakes that failed, connections that were too many, and calls that gRPC refuses by itself. */
  readonly onAudit: (event: AuditEvent) => void;
  readonly logger: Logger;
  /** @default the machine's own */
  readonly clock?: Clock;
}

/** How the enrollment port is tuned. */
export interface EnrollmentServerConfig extends EnrollmentConnectionsConfig {
  /** host:port to listen on; port 0 takes a free one. */
  readonly address: string;
  /** How long a TLS handshake may take. @default 5_000 */
  readonly handshakeMsMax: number;
  /** How long a connection may do nothing. @default 5_000 */
  readonly idleMsMax: number;
  /** From a request to its answer. @default 20_000 */
  readonly callMsMax: number;
  /** Calls at once on one connection. @default 2 */
  readonly callsMax: number;
  /** Longest request, in bytes. @default 16_384 */
  readonly requestBytesMax: number;
  /** Longest answer: a handful of certificates. @default 65_536 */
  readonly answerBytesMax: number;
  /** Headers of one call, in bytes. @default 4_096 */
  readonly metadataBytesMax: number;
}

export const defaultEnrollmentServerConfig: Omit<EnrollmentServerConfig, 'address'> = {
  connectionsMax: 64,
  connectionsPerAddressMax: 8,
  newConnections: { perSecond: 10, burst: 50 },
  callsPerConnectionMax: 8,
  calls: { perSecond: 10, burst: 50 },
  callsOfAll: { perSecond: 200, burst: 1_000 },
  firstRequestMsMax: 10_000,
  connectionMsMax: 30_000,
  connectionBytesMax: 256 * 1_024,
  handshakeMsMax: 5_000,
  idleMsMax: 5_000,
  callMsMax: 20_000,
  callsMax: 2,
  requestBytesMax: 16_384,
  answerBytesMax: 65_536,
  metadataBytesMax: 4_096,
};

/** How long running calls may go on when the server stops. */
const shutdownGraceMs = 1_000;

/**
 * The enrollment port of a site (docs/trust.md, 3): TLS 1.3 with the site's certificate, none asked of the
 * caller, and on it the Enrollment conversation and nothing else: no reflection, no health. Used by the
 * wiring of a site that has an authority. Stores nothing; a crash leaves nothing.
 */
export class EnrollmentServer implements Component {
  readonly #components: EnrollmentServerComponents;
  readonly #config: EnrollmentServerConfig;
  readonly #server: Server;
  readonly #connections: EnrollmentConnections;
  #port: number | undefined;
  #endListening = () => {};

  constructor(
    components: EnrollmentServerComponents,
    config: Pick<EnrollmentServerConfig, 'address'> & Partial<EnrollmentServerConfig>,
  ) {
    this.#components = components;
    this.#config = { ...defaultEnrollmentServerConfig, ...config };
    const { onAudit, clock = systemClock } = components;
    const handshakes = new HandshakeAudit({ onAudit, clock });
    const refusedCalls = new BoundedAudit({ onAudit, clock });
    this.#connections = new EnrollmentConnections(this.#config, {
      clock,
      onRefused: (address, reason) => handshakes.refused(address, `enrollment port: ${reason}`),
      onRefusedCall: (event) => refusedCalls.record(event),
    });
    this.#server = new Server({
      'grpc.max_receive_message_length': this.#config.requestBytesMax,
      'grpc.max_send_message_length': this.#config.answerBytesMax,
      'grpc.max_connection_idle_ms': this.#config.idleMsMax,
      'grpc.enable_channelz': 0,
    });
  }

  /** host:port it listens on, with the port that was free. Only after `start`. */
  get address(): string {
    if (this.#port === undefined) throw new Error('The enrollment port is not open');
    return this.#config.address.replace(/:\d+$/, `:${this.#port}`);
  }

  /** Listens. @throws ADDRESS_IN_USE when another program does already */
  async start(): Promise<void> {
    this.#serve();
    const credentials = new OneSidedTls(this.#components, this.#config);
    this.#endListening =
      this.#components.credentials.onChange?.(() => credentials.renew()) ?? this.#endListening;
    this.#port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync(this.#config.address, credentials, (error, port) =>
        error ? reject(toListenError(error, this.#config.address)) : resolve(port),
      );
    });
    this.#connections.attach(this.#server);
    this.#components.logger.info({ enrollmentAddress: this.address }, 'Enrollment port is open');
  }

  /** Takes no new calls, lets the running ones end for a moment, then cuts them off. */
  async stop(): Promise<void> {
    this.#endListening();
    if (this.#port === undefined) return;
    const closed = this.#connections.closed();
    this.#server.tryShutdown(() => {});
    const timer = setTimeout(() => this.#connections.destroyAll(), shutdownGraceMs);
    await closed;
    clearTimeout(timer);
  }

  #serve(): void {
    const definition: Record<string, ServiceDefinition[string]> = {};
    const implementation: UntypedServiceImplementation = {};
    for (const [name, method] of methodDefinitions('Enrollment')) {
      definition[name] = { ...method, responseSerialize: (bytes: Buffer) => bytes };
      implementation[name] = (
        call: ServerUnaryCall<unknown, Buffer>,
        callback: sendUnaryData<Buffer>,
      ) => void this.#answer(name as keyof EnrollmentAnswers, method, call, callback);
    }
    this.#server.addService(definition, implementation);
  }

  /** Never rejects: what goes wrong is the caller's to hear, or ours to log. */
  async #answer(
    name: keyof EnrollmentAnswers,
    method: UntypedMethod,
    call: ServerUnaryCall<unknown, Buffer>,
    callback: sendUnaryData<Buffer>,
  ): Promise<void> {
    const over = new AbortController();
    call.on('cancelled', () => over.abort(new AbortError('The call is over')));
    const place = this.#connections.answering(call.getPeer());
    try {
      const run = this.#components.answers[name] as (
        request: unknown,
        stranger: Stranger,
      ) => Promise<unknown>;
      const address = hostOf(call.getPeer());
      const stranger = { address, signal: over.signal, onGuess: place.onGuess };
      const answer = await this.#inTime(run(call.request, stranger), over);
      callback(null, method.responseSerialize(answer));
    } catch (error) {
      const { status } = toAnsweredFailure(error, (fault) =>
        this.#components.logger.error(
          { method: method.path, err: fault },
          'A call failed on a fault',
        ),
      );
      callback(status);
    } finally {
      place.onAnswered();
    }
  }

  async #inTime<T>(work: Promise<T>, over: AbortController): Promise<T> {
    const { callMsMax } = this.#config;
    const late = new WaybillError({
      code: 'RECEIVER_BUSY',
      what: 'ms for a call',
      limit: callMsMax,
    });
    const timer = setTimeout(() => over.abort(late), callMsMax);
    const ended = new Promise<never>((_resolve, reject) => {
      over.signal.addEventListener('abort', () => reject(over.signal.reason), { once: true });
    });
    // Whichever is second has nobody who listens any more.
    work.catch(() => {});
    ended.catch(() => {});
    return Promise.race([work, ended]).finally(() => clearTimeout(timer));
  }
}

/** TLS 1.3 with our certificate, and none of the caller's. */
class OneSidedTls extends ServerCredentials {
  readonly #needs: Pick<EnrollmentServerComponents, 'credentials' | 'roots'>;

  constructor(
    needs: Pick<EnrollmentServerComponents, 'credentials' | 'roots'>,
    config: EnrollmentServerConfig,
  ) {
    super(toServerOptions(config), toContextOptions(needs));
    this.#needs = needs;
  }

  /** Shows what there is now to new connections. */
  renew(): void {
    this.updateSecureContextOptions(toContextOptions(this.#needs));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function toServerOptions(config: EnrollmentServerConfig): SecureServerOptions {
  return {
    requestCert: false,
    handshakeTimeout: config.handshakeMsMax,
    unknownProtocolTimeout: config.handshakeMsMax,
    maxSettings: settingsMax,
    maxSessionInvalidFrames: invalidFramesMax,
    maxHeaderListPairs: headerCountMax,
    settings: {
      maxConcurrentStreams: config.callsMax,
      maxHeaderListSize: config.metadataBytesMax,
    },
  };
}

function toContextOptions({
  credentials,
  roots,
}: Pick<EnrollmentServerComponents, 'credentials' | 'roots'>): SecureContextOptions {
  const chain = [credentials.certificate.toString('latin1'), ...roots()];
  return {
    cert: chain.map((pem) => `${pem.trimEnd()}\n`).join(''),
    key: credentials.key,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    honorCipherOrder: true,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** The address of `192.0.2.7:1234` or `[2001:db8::1]:1234`. */
function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}

function toListenError(error: Error, address: string): Error {
  if (!error.message.includes('EADDRINUSE')) return error;
  return new WaybillError({ code: 'ADDRESS_IN_USE', address }, { cause: error });
}
