import { hasPieces, pieceCountOf } from './content.ts';

/**
 * How many units a file is of its content: every piece of a file of several pieces is one, and every
 * other file is one. Units are counted through a content in the manifest's order; they are what a
 * source holds or does not hold, and what is fetched.
 */
export function unitCountOf(sizeBytes: number): number {
  return hasPieces(sizeBytes) ? pieceCountOf(sizeBytes) : 1;
}
