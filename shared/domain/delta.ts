/** "This file can be made from that one and this delta": advice, whoever gives it. */
export interface Delta {
  /** Lower-case hexadecimal BLAKE3-256 of the file that comes out. */
  readonly fileHash: string;
  readonly fileBytes: number;
  /** The older file it is made from. */
  readonly baseHash: string;
  readonly baseBytes: number;
  /** The delta, a file of its own. */
  readonly deltaHash: string;
  readonly deltaBytes: number;
  /** Of the delta's pieces, lower-case hexadecimal one after another; empty for one of one piece. */
  readonly deltaPieceHashes: string;
}
