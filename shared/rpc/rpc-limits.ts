/** Limits of every connection, both ends. */

const kib = 1024;
const mib = 1024 * kib;

/** Longest message either end sends or takes, in bytes: one piece or icon and what stands around it. */
export const messageBytesMax = mib + 64 * kib;

/**
 * Longest manifest and signature of a content, together, in bytes, that travel inside the call that
 * begins: some 500 entries. Two calls less count more than such bytes sent once too often.
 */
export const inlineManifestBytesMax = 64 * kib;

/**
 * How much a receiver lets a sender put in flight on one stream, and on one connection, in bytes.
 * HTTP/2's own 64 KiB would allow 1.3 MB/s at 50 ms; 16 MiB fill 1 Gbit/s at 130 ms.
 */
export const receiveWindowBytes = 16 * mib;

/**
 * The same of a caller, who asks for what comes: twice as much, so that 16 MiB that are on their way to
 * one who is far away do not wait for a word that there is room for more.
 */
export const callerWindowBytes = 2 * receiveWindowBytes;

/**
 * How much a server lets a peer put in flight on one stream that is no site, in bytes: it asks and reports,
 * and never brings content.
 */
export const smallWindowBytes = 256 * kib;

/** Longest HTTP/2 frame a server takes, in bytes; fewer, larger frames cost less than 16 KiB ones. */
export const frameBytesMax = 256 * kib;

/** Headers or trailers of one call, in bytes, as HTTP/2 counts them. */
export const metadataBytesMax = 16 * kib;

/** Most headers of one call; ours are ten, those of a tool with tracing twenty. */
export const headerCountMax = 64;

/** Frames of a connection that HTTP/2 does not allow there, before it is closed. */
export const invalidFramesMax = 100;

/** Settings of one frame; HTTP/2 knows seven. */
export const settingsMax = 32;

/** Calls open at once on one connection to a server; further ones wait at the caller. */
export const streamsMax = 100;

/** Connections open at once to one server; further ones are closed. */
export const connectionsMax = 6_000;

/** How long a caller may take for its TLS handshake, and to say that it speaks HTTP/2. */
export const handshakeMsMax = 10_000;

/** How a dead peer is told from a silent one. */
export interface Keepalive {
  /** Pause before a sign of life is asked of the peer. */
  readonly timeMs: number;
  /** A peer that does not give it for so long is dead. */
  readonly timeoutMs: number;
}

/** A dead peer is noticed within 10 s; a slow link may take 7 s to bring a sign of life. */
export const defaultKeepalive: Keepalive = { timeMs: 3_000, timeoutMs: 7_000 };

/** Code and facts of an error as they travel, in bytes; below `metadataBytesMax`, in base 64 too. */
export const errorDetailBytesMax = 8 * kib;
