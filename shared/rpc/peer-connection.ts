import { type ChannelOptions, Client, connectivityState } from '@grpc/grpc-js';
import { type CertifiedPeer, toVoucherText } from '../domain/certificate-authority.ts';
import { peerOfAnotherCa, WaybillError } from '../domain/errors.ts';
import { type PeerIdentity, toIdentityUri } from '../domain/peer-identity.ts';
import { AbortError, throwIfAborted } from '../runtime/abort-error.ts';
import type { CallerGroup } from './call-policy.ts';
import { CertifiedSockets } from './certified-sockets.ts';
import { ConnectPace, type ConnectPaceConfig, defaultConnectPace } from './connect-pace.ts';
import { isCutShort, isForeignCa } from './connection-failure.ts';
import { HeldClient } from './held-client.ts';
import { toChannelCredentials } from './mutual-tls.ts';
import type { PeerCredentials } from './peer-credentials.ts';
import type { PeerTrust } from './peer-trust.ts';
import {
  callerWindowBytes,
  defaultKeepalive,
  type Keepalive,
  messageBytesMax,
} from './rpc-limits.ts';

/** Whom to connect to, and as whom. */
export interface PeerConnectionOptions {
  /** host:port of the peer. */
  readonly address: string;
  /** Whether a certificate with this identity is the peer's. */
  readonly expected: (peer: PeerIdentity) => boolean;
  /** The peer in words, such as "DP PS1DP1"; stands in errors. */
  readonly expectedText: string;
  readonly credentials: PeerCredentials;
  /** Whose certificates count. @default those of everybody whom TLS lets in */
  readonly trust?: PeerTrust | undefined;
  /** As one of whom the peer must be vouched for. @default 'every peer of the hierarchy' */
  readonly vouchedAs?: CallerGroup;
  /** How long one attempt to connect may take. @default 5_000 */
  readonly connectDeadlineMs?: number;
  /** @default defaultKeepalive */
  readonly keepalive?: Keepalive;
  /** How often it is tried while it is waited for. @default defaultConnectPace */
  readonly pace?: ConnectPaceConfig;
  /** A number from 0 up to 1. @default Math.random */
  readonly random?: () => number;
}

/** A wait for a connection. */
interface Trying {
  readonly signal: AbortSignal | undefined;
  /** Whose connection is meant; absent: the newest one's. */
  readonly held?: HeldClient | undefined;
  /** Whether it is no use to go on in this state. */
  readonly isEnough: (state: connectivityState) => boolean;
}

/** Marks our own refusal of a server's certificate among gRPC's connection errors. */
const mismatchMark = 'waybill-peer-identity-mismatch';

const channelOptions: ChannelOptions = {
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': messageBytesMax,
  'grpc-node.flow_control_window': callerWindowBytes,
  'grpc.keepalive_permit_without_calls': 1,
  // A peer that is back is found within about a second.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 1_000,
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  // Whom we speak to is this machine's configuration alone: no TXT records, no proxy of a shell.
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
  // Servers are known by identity, not by host name; TLS does not allow an IP address here.
  'grpc.ssl_target_name_override': 'waybill.invalid',
};

/**
 * The connection to one peer: makes it when it is wanted, checks whose certificate the peer shows,
 * and makes it again when it broke or an attempt got stuck. With other credentials it makes another
 * one for the next call, and keeps the old one until the calls on it are over.
 */
export class PeerConnection {
  readonly connectDeadlineMs: number;
  readonly #options: PeerConnectionOptions;
  readonly #sockets: CertifiedSockets;
  readonly #pace: ConnectPace;
  /** How many wait for an attempt that runs. */
  #tryingCount = 0;
  #held: HeldClient;
  #renewedAtMs = performance.now();
  #shownIdentity = '';
  #isClosed = false;

  constructor(options: PeerConnectionOptions) {
    this.#options = options;
    this.#sockets = new CertifiedSockets(options);
    this.#pace = new ConnectPace(options.pace ?? defaultConnectPace, options.random ?? Math.random);
    this.connectDeadlineMs = options.connectDeadlineMs ?? 5_000;
    this.#held = this.#newClient();
  }

  /** Whether there is a connection now. */
  get isReady(): boolean {
    return this.#held.isReady;
  }

  /** To make a call with. @throws AbortError when the connection was closed for good */
  client(): HeldClient {
    this.#throwIfClosed();
    const held = this.#newest();
    // Errors of past attempts would fail the call at once; after a while the peer deserves a new one.
    if (held.state() === connectivityState.TRANSIENT_FAILURE) this.renewIfStuck();
    return this.#held;
  }

  /**
   * Whether there is a connection within the connect deadline; false too when it is refused.
   *
   * @param held the client whose connection is meant; absent: the newest
   */
  isReadyInTime(signal?: AbortSignal, held?: HeldClient): Promise<boolean> {
    return this.#tried({ signal, held, isEnough: () => false });
  }

  /**
   * Connects, again and again until there is a connection: about once a second, and less often one that has been away
   * for some minutes, is refused for its certificate, or refuses us.
   *
   * @throws AbortError
   */
  async whenReady(signal?: AbortSignal): Promise<void> {
    const isEnough = (state: connectivityState) =>
      state === connectivityState.TRANSIENT_FAILURE && this.#pace.isSlow(performance.now());
    while (!(await this.#tried({ signal, isEnough }))) {
      if (this.#pace.pauseMs(performance.now()) > 0) await this.#rested(signal);
      else this.renewIfStuck();
    }
  }

  async #tried(options: Trying): Promise<boolean> {
    this.#tryingCount += 1;
    try {
      return await this.#isConnected(options);
    } finally {
      this.#tryingCount -= 1;
    }
  }

  async #isConnected({ signal, held, isEnough }: Trying): Promise<boolean> {
    const deadlineMs = Date.now() + this.connectDeadlineMs;
    for (;;) {
      throwIfAborted(signal);
      this.#throwIfClosed();
      const one = held ?? this.#newest();
      if (one.isClosed) return false;
      const state = one.state(true);
      if (state === connectivityState.READY) return true;
      if (Date.now() >= deadlineMs || isEnough(state)) return false;
      await this.#changed(one, state, deadlineMs, signal);
    }
  }

  /** Until the pause is over, somebody else has connected, or there are other credentials. @throws AbortError */
  async #rested(signal: AbortSignal | undefined): Promise<void> {
    this.#rest();
    const unlisten = this.#options.credentials.onChange?.(() => {
      if (!this.#isClosed) this.#newest();
    });
    try {
      await this.#pauseOver(signal);
    } finally {
      unlisten?.();
    }
  }

  async #pauseOver(signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      throwIfAborted(signal);
      this.#throwIfClosed();
      const held = this.#newest();
      const leftMs = this.#pace.leftMs(performance.now());
      if (held.isReady || leftMs <= 0) return;
      await this.#changed(held, held.state(), Date.now() + leftMs, signal);
    }
  }

  /** gRPC by itself would try for ever, once somebody has wanted a connection: unless somebody still does, it ends. */
  #rest(): void {
    if (this.isReady || this.#tryingCount > 0 || this.#held.isUsed) return;
    this.#held.close();
    this.#begin();
  }

  /** Resolves when there is no connection any more, or never was. @throws AbortError */
  async whenLost(signal: AbortSignal): Promise<void> {
    for (;;) {
      throwIfAborted(signal);
      this.#throwIfClosed();
      if (!this.isReady) return;
      await this.#changed(this.#held, connectivityState.READY, Number.POSITIVE_INFINITY, signal);
    }
  }

  /**
   * Begins anew when there has been no connection for the connect deadline: an attempt may be stuck
   * where no error will ever come from, such as a host that was switched off.
   */
  renewIfStuck(): void {
    const ageMs = performance.now() - this.#renewedAtMs;
    if (this.#isClosed || this.isReady || ageMs < 0.9 * this.connectDeadlineMs) return;
    this.#held.close();
    this.#begin();
  }

  /** Ends the connection for good; calls that run may go on to their end. */
  close(): void {
    this.#isClosed = true;
    this.#held.close();
  }

  /** The failure of a connection that was refused for whose certificate it showed, if it was. */
  toIdentityFailure(details: string): WaybillError | undefined {
    const { address, expectedText: expected } = this.#options;
    const actual = this.#refusedIdentity(details);
    return actual === undefined
      ? undefined
      : new WaybillError({ code: 'PEER_IDENTITY_MISMATCH', expected, actual, address });
  }

  #refusedIdentity(details: string): string | undefined {
    if (details.includes(mismatchMark)) return this.#shownIdentity;
    return isForeignCa(details) ? peerOfAnotherCa : undefined;
  }

  /** Who has answered and is not to be spoken to, in words; undefined when it is whom we want. */
  #refusalOf(peer: CertifiedPeer | undefined): string | undefined {
    const { expected, trust, vouchedAs = 'every peer of the hierarchy' } = this.#options;
    if (!peer) return 'nobody (it has no Waybill identity)';
    const shown = toIdentityUri(peer.identity);
    if (!expected(peer.identity)) return shown;
    const reason = trust?.refusalOf(peer);
    if (reason !== undefined) return `${shown}, which does not count: ${reason}`;
    if (!trust || trust.isVouchedHere(peer, vouchedAs)) return undefined;
    return `${shown}, issued by ${toVoucherText(peer.voucher)}, which has no say about it here`;
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw new AbortError('The channel was closed');
  }

  #begin(): void {
    this.#held = this.#newClient();
    this.#renewedAtMs = performance.now();
  }

  /** Made with the credentials there are now. */
  #newest(): HeldClient {
    if (!this.#held.isMadeWith(this.#options.credentials)) {
      this.#held.retire();
      this.#begin();
      this.#pace.shownAnew();
    }
    return this.#held;
  }

  #newClient(): HeldClient {
    const refuse = (peer: CertifiedPeer | undefined) => {
      const refused = this.#refusalOf(peer);
      if (refused === undefined) return undefined;
      this.#shownIdentity = refused;
      return new Error(mismatchMark);
    };
    let readyCount = 0;
    const onRefused = () => {
      if (held === this.#held) this.#pace.refused();
    };
    const credentials = toChannelCredentials(this.#options.credentials, refuse, {
      onConnected: (socket) => {
        const before = readyCount;
        // Before gRPC hears of it, and tells those who wait. Whoever has let us in says so in HTTP/2.
        socket.once('close', () => {
          if (readyCount === before) onRefused();
        });
        this.#sockets.take(socket);
      },
      onFailed: (error) => {
        if (!isCutShort(String(error))) onRefused();
      },
    });
    const { address, keepalive = defaultKeepalive } = this.#options;
    const client = new Client(address, credentials, {
      ...channelOptions,
      'grpc.keepalive_time_ms': keepalive.timeMs,
      'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    });
    const held = new HeldClient(client, this.#options.credentials, () => {
      readyCount += 1;
      this.#pace.connected();
    });
    return held;
  }

  /** Resolves when the client's state is another, the time is up, or the signal fires. */
  #changed(
    held: HeldClient,
    state: connectivityState,
    deadlineMs: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        signal?.removeEventListener('abort', settle);
        resolve();
      };
      signal?.addEventListener('abort', settle);
      held.client.getChannel().watchConnectivityState(state, deadlineMs, settle);
    });
  }
}
