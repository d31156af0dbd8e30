import type { SendRequest } from '../../shared/domain/send-request.ts';

/** How it stands with a neighbour: a child, or the parent. */
export interface NeighbourState {
  readonly siteCode: string;
  readonly connected: boolean;
  /** Why it is not connected, or what was refused. */
  readonly reason: string;
  /** Changes known here that the neighbour has not confirmed. */
  readonly changesBehind: number;
  /** Age of the oldest of them. */
  readonly behindMs: number;
  /** When anything was last heard of it; 0: never. */
  readonly heardAtMs: number;
}

/** Replication, as far as administrators see it. */
export interface AdminReplication {
  neighbours(): Promise<readonly NeighbourState[]>;
}

/** This site's signing keys, as far as administrators change them. */
export interface AdminSiteIdentity {
  /** Makes a new signing key; done once other sites can be told of it. */
  rotate(): Promise<unknown>;
}

/** A send request, and how fast it goes while it does. */
export interface SeenSendRequest extends SendRequest {
  /** @default 0 */
  readonly bytesPerSecond?: number;
  /** @default unknown */
  readonly etaMs?: number;
}

/** Which send requests are wanted; empty: all. */
export interface SendRequestQuery {
  readonly packageId: string;
  readonly destinationSiteCode: string;
  readonly history: boolean;
  /** At most so many; 0: all open ones, or the newest 1,000 of the history. */
  readonly limit: number;
}

/** Send requests of this site, as administrators see them. */
export interface AdminSendRequests {
  list(query: SendRequestQuery): AsyncIterable<SeenSendRequest>;
  watch(query: SendRequestQuery, signal: AbortSignal): AsyncIterable<SeenSendRequest>;
}
