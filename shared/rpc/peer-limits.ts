import { receiveWindowBytes } from './rpc-limits.ts';

const kib = 1024;
const mib = 1024 * kib;
const minuteMs = 60_000;

/** A flow that may come in bursts. */
export interface Flow {
  readonly perSecond: number;
  /** What may come at once after a rest. */
  readonly burst: number;
}

/** What one caller may take of a server. Reasons stand in docs/limits.md. */
export interface PeerLimits {
  /** Connections of one address whose caller has not proven who it is yet; the oldest gives way. */
  readonly unprovenPerAddressMax: number;
  /** The same of all addresses. */
  readonly unprovenMax: number;
  /** Connections one address may begin, proven or not. */
  readonly connections: Flow;
  /** Connections of one address that may end without a proof of who it is, or are refused with one too often; it waits when it is over. */
  readonly failedConnections: Flow;
  /** Connections of a server from which on only sites, and administrators of whom its site hears, get further ones. */
  readonly connectionsOfAllMax: number;
  /** Connections of one certified identity. */
  readonly connectionsPerPeerMax: number;
  /** Calls open at once of one certified identity, on all its connections. */
  readonly callsPerPeerMax: number;
  /** Calls a peer may begin; further ones wait for their turn. */
  readonly calls: Flow;
  /** Connections of one identity that are refused, for it has too many or its certificate does not count; then its address pays for further ones. */
  readonly refusedConnections: Flow;
  /** What no agent of ours ever does, as a message that is longer than can be. */
  readonly faults: Flow;
  /** Calls a peer may take back before they are answered. */
  readonly takenBackCalls: Flow;
  /** Messages a peer may send in its calls; further ones wait in its flow control window. */
  readonly messages: Flow;
  /** Bytes a peer may send that are no messages of calls: frames of HTTP/2 and records of TLS. */
  readonly overheadBytes: Flow;
  /** Bytes of messages, as a part, that go with them as overhead and count for nothing. */
  readonly overheadShare: number;
  /** Bytes of a site, and of any other peer, that no method has taken yet. */
  readonly heldBytesOfSiteMax: number;
  readonly heldBytesMax: number;
  /** The same of all sites together, and of all others: over it those of them who hold most lose their connections. */
  readonly heldBytesOfAllSitesMax: number;
  readonly heldBytesOfAllOthersMax: number;
  /** From the handshake to the first settings of HTTP/2. */
  readonly greetingMsMax: number;
  /** From one byte of a message to the next, and from a call to its only message. */
  readonly messageStallMsMax: number;
  /** From the first byte of a message to its last. */
  readonly messageMsMax: number;
  /** Pieces a message may come in. */
  readonly messagePartsMax: number;
  /** Silence of the caller on a call, while he may still send; what he is answered counts for nothing. */
  readonly callSilenceMsMax: number;
  /** From the end of an answer to the end of what its caller still sends. */
  readonly afterAnswerMsMax: number;
  /** A connection without a call; sites are left alone. */
  readonly idleMsMax: number;
  /** How often connections are looked at. */
  readonly lookMs: number;
}

export const defaultPeerLimits: PeerLimits = {
  unprovenPerAddressMax: 64,
  unprovenMax: 512,
  connections: { perSecond: 50, burst: 2_500 },
  failedConnections: { perSecond: 10, burst: 100 },
  connectionsOfAllMax: 5_000,
  connectionsPerPeerMax: 64,
  callsPerPeerMax: 500,
  calls: { perSecond: 250, burst: 1_000 },
  refusedConnections: { perSecond: 10, burst: 300 },
  faults: { perSecond: 0.2, burst: 20 },
  takenBackCalls: { perSecond: 30, burst: 500 },
  messages: { perSecond: 5_000, burst: 10_000 },
  overheadBytes: { perSecond: 64 * kib, burst: mib },
  overheadShare: 0.05,
  heldBytesOfSiteMax: 32 * receiveWindowBytes,
  heldBytesMax: 64 * mib,
  heldBytesOfAllSitesMax: 768 * mib,
  heldBytesOfAllOthersMax: 256 * mib,
  greetingMsMax: 10_000,
  messageStallMsMax: 30_000,
  messageMsMax: 20 * minuteMs,
  messagePartsMax: 8_192,
  callSilenceMsMax: 60 * minuteMs,
  afterAnswerMsMax: 2_000,
  idleMsMax: 60 * minuteMs,
  lookMs: 500,
};
