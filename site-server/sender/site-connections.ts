import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { PeerTrust } from '../../shared/rpc/peer-trust.ts';
import { RpcChannel, type RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { joinKey } from '../../shared/state-store/key-space.ts';

/** What the Sender needs of a channel. */
export type SiteChannel = Pick<RpcChannel<'SiteTransfer'>, 'unary' | 'duplex' | 'close'>;

export interface SiteConnectionsNeeds {
  readonly credentials: PeerCredentials;
  /** Whose certificates count. @default everybody */
  readonly trust?: PeerTrust;
  readonly clock: Pick<Clock, 'sleep'>;
  /** How a channel is made. @default over the network */
  readonly openChannel?: (options: RpcChannelOptions<'SiteTransfer'>) => SiteChannel;
}

export interface SiteConnectionsConfig {
  /** How long a connection that nobody uses stays. @default 60_000 */
  readonly idleMs: number;
}

export const defaultSiteConnectionsConfig: SiteConnectionsConfig = { idleMs: 60_000 };

interface Connection {
  readonly channel: SiteChannel;
  userCount: number;
  idle: AbortController;
}

/**
 * One channel to each address of another site that is sent to; made when it is needed, closed when
 * it was not for a while. Stores nothing.
 */
export class SiteConnections implements Component {
  readonly #needs: SiteConnectionsNeeds;
  readonly #config: SiteConnectionsConfig;
  readonly #connections = new Map<string, Connection>();

  constructor(needs: SiteConnectionsNeeds, config = defaultSiteConnectionsConfig) {
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    for (const key of [...this.#connections.keys()]) this.#close(key);
  }

  /** Runs `work` with a channel to that very site, which stays open as long. */
  async use<T>(
    { siteCode, address }: { readonly siteCode: string; readonly address: string },
    work: (channel: SiteChannel) => Promise<T>,
  ): Promise<T> {
    const key = joinKey(siteCode, address);
    const connection = this.#connections.get(key) ?? this.#open(key, siteCode, address);
    connection.userCount += 1;
    connection.idle.abort();
    try {
      return await work(connection.channel);
    } finally {
      connection.userCount -= 1;
      if (connection.userCount === 0) this.#closeWhenIdle(key, connection);
    }
  }

  #open(key: string, siteCode: string, address: string): Connection {
    const { credentials, trust, openChannel = (options) => new RpcChannel(options) } = this.#needs;
    const channel = openChannel({
      conversation: 'SiteTransfer',
      address,
      expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
      expectedText: `site ${siteCode}`,
      ...{ credentials, trust },
    });
    const connection = { channel, userCount: 0, idle: new AbortController() };
    this.#connections.set(key, connection);
    return connection;
  }

  #closeWhenIdle(key: string, connection: Connection): void {
    if (this.#connections.get(key) !== connection) return;
    connection.idle = new AbortController();
    this.#needs.clock.sleep(this.#config.idleMs, connection.idle.signal).then(
      () => this.#close(key),
      (error) => {
        if (!isAbortError(error)) throw error;
      },
    );
  }

  #close(key: string): void {
    const connection = this.#connections.get(key);
    this.#connections.delete(key);
    connection?.idle.abort();
    connection?.channel.close();
  }
}
