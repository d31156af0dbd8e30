/**
 * One channel to each DP of the site, made when it is first needed. Called by Distribution Manager
 * (preliminary check), Package Transfer Manager (transfers) and the admin service. Stores nothing.
 */
import { fromStandingMessage } from '../../shared/certificate-keeper/standing-message.ts';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { CheckResult } from '../../shared/domain/distribution-point-check.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { PeerTrust } from '../../shared/rpc/peer-trust.ts';
import { RpcChannel, type RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import { ignoreAbort, isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Component } from '../../shared/runtime/component.ts';

export type DistributionPointChannel = RpcChannel<'DistributionPoint'>;

export interface DistributionPointConnectionsConfig {
  /** How long a check may take, connecting included. @default 5_000 */
  readonly checkDeadlineMs: number;
}

export interface DistributionPointConnectionsNeeds {
  readonly credentials: PeerCredentials;
  /** Whose certificates count, and which of these are DPs of this site. @default everybody */
  readonly trust?: PeerTrust;
  /** How a channel is made. @default over the network */
  readonly openChannel?: (
    options: RpcChannelOptions<'DistributionPoint'>,
  ) => DistributionPointChannel;
}

interface Connection {
  readonly address: string;
  readonly channel: DistributionPointChannel;
}

export class DistributionPointConnections implements Component {
  readonly #needs: DistributionPointConnectionsNeeds;
  readonly #config: DistributionPointConnectionsConfig;
  readonly #connections = new Map<string, Connection>();

  constructor(
    needs: DistributionPointConnectionsNeeds,
    config: DistributionPointConnectionsConfig,
  ) {
    this.#needs = needs;
    this.#config = config;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    for (const { channel } of this.#connections.values()) channel.close();
    this.#connections.clear();
  }

  /** The channel to a DP; a new one when its address has changed. */
  channelTo(dp: DistributionPoint): DistributionPointChannel {
    const known = this.#connections.get(dp.dpId);
    if (known?.address === dp.address) return known.channel;
    known?.channel.close();
    const { credentials, trust, openChannel = (options) => new RpcChannel(options) } = this.#needs;
    const channel = openChannel({
      conversation: 'DistributionPoint',
      address: dp.address,
      expected: (peer) => peer.kind === 'dp' && peer.dpId === dp.dpId,
      expectedText: `distribution point ${dp.dpId}`,
      ...{ credentials, trust, vouchedAs: 'distribution points of this site' },
    });
    this.#connections.set(dp.dpId, { address: dp.address, channel });
    return channel;
  }

  /** Drops the channel to a DP that is no longer of this site. */
  forget(dpId: string): void {
    this.#connections.get(dpId)?.channel.close();
    this.#connections.delete(dpId);
  }

  /**
   * Asks a DP who it is and how much room it has (DM-4).
   *
   * @throws PEER_UNREACHABLE, PEER_IDENTITY_MISMATCH, DEADLINE_EXCEEDED, AbortError
   */
  async check(dp: DistributionPoint, signal: AbortSignal): Promise<CheckResult> {
    const answer = await this.channelTo(dp).unary(
      'check',
      { dpId: dp.dpId },
      { deadlineMs: this.#config.checkDeadlineMs, signal },
    );
    const { dpId, siteCode, agentVersion } = answer;
    const certificate = fromStandingMessage(answer.certificate);
    const freeBytes = Number(answer.freeBytes);
    return { dpId, siteCode, agentVersion, freeBytes, ...(certificate && { certificate }) };
  }

  /** Resolves when the DP is not connected any more, or its channel was closed. */
  async lost(dp: DistributionPoint, signal: AbortSignal): Promise<void> {
    await this.channelTo(dp).whenLost(signal).catch(ignoreAbort);
  }

  /** Resolves with true when the DP can be reached; with false when that is not awaited any more. */
  async reachable(dp: DistributionPoint, signal: AbortSignal): Promise<boolean> {
    try {
      await this.channelTo(dp).whenReachable(signal);
      return true;
    } catch (error) {
      // Aborted; or the channel was closed, for the DP has another address or is not ours.
      if (isAbortError(error)) return false;
      throw error;
    }
  }
}
