import { hasPieces, pieceCountOf } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';
import type { Delta__Output, Delta as DeltaMessage } from '../rpc/generated/waybill/v1/Delta.ts';
import { invalidMessage, requireHash } from './package-version.ts';

/** Deltas somebody may tell of a content, or offer for an action, at once: docs/limits.md. */
export const toldDeltaCountMax = 10_000;

/** Bytes of a delta around its piece hashes, and of the field it stands in. */
export const framingBytesMax = 160;

/** A delta as it travels. */
export function toDeltaMessage(delta: Delta): DeltaMessage {
  const { fileHash, baseHash, deltaHash, deltaPieceHashes, ...sizes } = delta;
  return {
    ...sizes,
    fileHash: Buffer.from(fileHash, 'hex'),
    baseHash: Buffer.from(baseHash, 'hex'),
    deltaHash: Buffer.from(deltaHash, 'hex'),
    deltaPieceHashes: Buffer.from(deltaPieceHashes, 'hex'),
  };
}

/** Most bytes a delta takes in a message. */
export function deltaMessageLength({ deltaPieceHashes }: Delta): number {
  return deltaPieceHashes.length / 2 + framingBytesMax;
}

/** A delta of the wire, checked. @throws MESSAGE_INVALID */
export function requireDelta(message: Delta__Output): Delta {
  const delta = {
    fileHash: requireHash('delta.file_hash', message.fileHash),
    fileBytes: requireBytes('delta.file_bytes', message.fileBytes),
    baseHash: requireHash('delta.base_hash', message.baseHash),
    baseBytes: requireBytes('delta.base_bytes', message.baseBytes),
    deltaHash: requireHash('delta.delta_hash', message.deltaHash),
    deltaBytes: requireBytes('delta.delta_bytes', message.deltaBytes),
  };
  const { length } = message.deltaPieceHashes;
  const { deltaBytes } = delta;
  const expected = hasPieces(deltaBytes) ? 32 * pieceCountOf(deltaBytes) : 0;
  if (length !== expected) {
    throw invalidMessage('delta.delta_piece_hashes', `${expected} bytes`, `${length} bytes`);
  }
  return { ...delta, deltaPieceHashes: Buffer.from(message.deltaPieceHashes).toString('hex') };
}

/** Deltas of one message, checked. @throws MESSAGE_INVALID */
export function requireDeltas(messages: readonly Delta__Output[]): Delta[] {
  if (messages.length > toldDeltaCountMax) {
    throw invalidMessage('deltas', `at most ${toldDeltaCountMax}`, `${messages.length}`);
  }
  return messages.map(requireDelta);
}

function requireBytes(field: string, value: string | number): number {
  const bytes = Number(value);
  if (Number.isSafeInteger(bytes) && bytes >= 1) return bytes;
  throw invalidMessage(field, `1 to ${Number.MAX_SAFE_INTEGER}`, String(value));
}
