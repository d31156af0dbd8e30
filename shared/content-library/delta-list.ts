import { hasPieces, parseHash, pieceCountOf } from '../domain/content.ts';
import type { Delta } from '../domain/delta.ts';

/** Deltas of one content at most, and bytes of their list. */
export const deltaCountMax = 10_000;
export const listBytesMax = 33_554_432;

const header = (contentId: string) => `${JSON.stringify({ format: 1, contentId })}\n`;

/**
 * The list of a content's deltas: a header line, then a JSON array for each. What is over the limits
 * is left out.
 */
export function encodeDeltaList(contentId: string, deltas: readonly Delta[]): string {
  const lines = [header(contentId)];
  let sizeBytes = 0;
  for (const delta of deltas.slice(0, deltaCountMax)) {
    const line = `${JSON.stringify(fieldsOf(delta))}\n`;
    sizeBytes += line.length;
    if (sizeBytes > listBytesMax - 1_024) break;
    lines.push(line);
  }
  return lines.join('');
}

/** The deltas in a list of this content; undefined when it is not such a list, whole. */
export function decodeDeltaList(contentId: string, text: string): Delta[] | undefined {
  const lines = text.split('\n');
  if (`${lines.shift()}\n` !== header(contentId) || lines.pop() !== '') return undefined;
  const deltas = lines.slice(0, deltaCountMax).map(decodeLine);
  return deltas.every((delta) => delta !== undefined) ? deltas : undefined;
}

/** Whether this can be a delta at all: what anybody may say of one. */
export function isSoundDelta(delta: Delta): boolean {
  const { fileBytes, baseBytes, deltaBytes, deltaPieceHashes } = delta;
  const areHashes = [delta.fileHash, delta.baseHash, delta.deltaHash].every(parseHash);
  const areSizes = [fileBytes, baseBytes, deltaBytes].every(
    (bytes) => Number.isSafeInteger(bytes) && bytes >= 0,
  );
  if (!areHashes || !areSizes || deltaBytes === 0) return false;
  const digits = hasPieces(deltaBytes) ? 64 * pieceCountOf(deltaBytes) : 0;
  return deltaPieceHashes.length === digits && /^[0-9a-f]*$/.test(deltaPieceHashes);
}

function fieldsOf(delta: Delta): readonly (string | number)[] {
  const { fileHash, fileBytes, baseHash, baseBytes, deltaHash, deltaBytes } = delta;
  return [fileHash, fileBytes, baseHash, baseBytes, deltaHash, deltaBytes, delta.deltaPieceHashes];
}

function decodeLine(line: string): Delta | undefined {
  const fields = parsed(line);
  if (!Array.isArray(fields) || fields.length !== 7) return undefined;
  const [fileHash, fileBytes, baseHash, baseBytes, deltaHash, deltaBytes, deltaPieceHashes] =
    fields as unknown[];
  const texts = [fileHash, baseHash, deltaHash, deltaPieceHashes];
  if (!texts.every((text) => typeof text === 'string')) return undefined;
  const delta = {
    fileHash,
    fileBytes,
    baseHash,
    baseBytes,
    deltaHash,
    deltaBytes,
    deltaPieceHashes,
  };
  return isSoundDelta(delta as Delta) ? (delta as Delta) : undefined;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
