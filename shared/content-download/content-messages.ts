import { type ContentDescriptor, hasPieces } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import type { Priority } from '../domain/package.ts';
import { priorityNames } from '../package-info/priority-message.ts';
import type { RequestOf, ResponseOf } from '../rpc/conversation.ts';
import { type PlannedUnit, unitBytesOf } from './unit-plan.ts';

export type FetchRequest = RequestOf<'Content', 'fetch'>;
export type FetchResponse = ResponseOf<'Content', 'fetch'>;

/** What came of the units that were asked for; the others are not at the source. */
export interface BroughtUnits {
  /** Positions among the units that were asked for, ascending. */
  readonly indices: readonly number[];
  /** Bytes of each of them: unverified, but of the right length. */
  readonly contents: readonly Uint8Array[];
}

/** Bytes around those of a unit in an answer, and around all of them. */
const framingBytesMax = 64;

/** How a content is named to its sources. */
export function toContentName({ contentId, contentHash, signatureHash }: ContentDescriptor) {
  return {
    contentId,
    contentHash: Buffer.from(contentHash, 'hex'),
    signatureHash: Buffer.from(signatureHash, 'hex'),
  };
}

/** The request for one piece, or for small files, of a package of this priority. */
export function toFetchRequest(units: readonly PlannedUnit[], urgency: Priority): FetchRequest {
  const [first] = units;
  const priority = priorityNames[urgency];
  if (first && hasPieces(first.file.sizeBytes)) {
    const { file, pieceIndex } = first;
    const piece = { fileHash: hashBytes(file.hash), fileBytes: file.sizeBytes, pieceIndex };
    return { piece, priority };
  }
  const files = units.map(({ file: { hash, sizeBytes } }) => ({
    fileHash: hashBytes(hash),
    fileBytes: sizeBytes,
  }));
  return { files: { files }, priority };
}

/** Most bytes the encoded answer to such a request has. */
export function answerBytesMaxOf(units: readonly PlannedUnit[]): number {
  const lengths = units.map((unit) => unitBytesOf(unit) + framingBytesMax);
  return lengths.reduce((sum, length) => sum + length, framingBytesMax);
}

/** Bytes of content in an answer. */
export function contentLengthOf({ piece, files }: FetchResponse): number {
  const small = files?.files.reduce((sum, { data }) => sum + data.length, 0) ?? 0;
  return (piece?.data.length ?? 0) + small;
}

/**
 * Checks that a response fits the request: the units that were asked for, in their order, none twice,
 * each of its length.
 *
 * @throws MESSAGE_INVALID when it does not: no honest source answers so
 */
export function fromFetchResponse(
  units: readonly PlannedUnit[],
  response: FetchResponse,
): BroughtUnits {
  if (response.body === 'notHere') return { indices: [], contents: [] };
  const [first] = units;
  if (first && hasPieces(first.file.sizeBytes)) return pieceOf(first, response);
  return filesOf(units, response);
}

function pieceOf(unit: PlannedUnit, { piece }: FetchResponse): BroughtUnits {
  if (!piece) throw misfit('the piece that was asked for', 'something else');
  const isIt =
    piece.pieceIndex === unit.pieceIndex && hashBytes(unit.file.hash).equals(piece.fileHash);
  if (!isIt) throw misfit('the piece that was asked for', 'another piece');
  requireLength(unit, piece.data);
  return { indices: [0], contents: [piece.data] };
}

function filesOf(units: readonly PlannedUnit[], { files }: FetchResponse): BroughtUnits {
  if (!files) throw misfit('the files that were asked for', 'something else');
  const indices: number[] = [];
  let next = 0;
  for (const { fileHash, data } of files.files) {
    const hash = fileHash.toString('hex');
    while (next < units.length && units[next]?.file.hash !== hash) next++;
    const unit = units[next];
    if (!unit) throw misfit('the files that were asked for, in order', 'others');
    requireLength(unit, data);
    indices.push(next++);
  }
  return { indices, contents: files.files.map(({ data }) => data) };
}

function requireLength(unit: PlannedUnit, data: Uint8Array): void {
  const expected = unitBytesOf(unit);
  if (data.length !== expected) throw misfit(`${expected} bytes`, `${data.length} bytes`);
}

/** What no honest source answers. */
export function misfit(expected: string, actual: string): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field: 'response', expected, actual });
}

function hashBytes(hash: string): Buffer {
  return Buffer.from(hash, 'hex');
}
