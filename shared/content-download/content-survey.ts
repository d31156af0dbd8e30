import { hasPieces } from '../domain/content.ts';
import { PieceSet } from '../domain/piece-set.ts';
import type { WantedUnitFile, WantedUnits } from '../package-receiver/content-inspection.ts';

/** What of a content is here, and what is not. */
export interface ContentSurvey {
  /** The units that are here, of all the content has. */
  readonly here: PieceSet;
  readonly isWhole: boolean;
  /** Of files that stand in the content more than once, once, as far as they are remembered. */
  readonly missingBytes: number;
  /** The files that are wanted; undefined when they are too many to be kept. */
  readonly wanted: readonly Pick<WantedUnits, 'files'>[] | undefined;
}

/** Files that are kept, and remembered as counted. */
export const keptFilesMax = 16_384;

/** Reads once through all units of a content; see `PackageReceiver.wantedFiles`. */
export async function surveyContent(parts: AsyncIterable<WantedUnits>): Promise<ContentSurvey> {
  const bits = new GrowingBits();
  const counted = new Set<string>();
  let kept: { files: readonly WantedUnitFile[] }[] | undefined = [];
  let [unitCount, fileCount, missingBytes] = [0, 0, 0];
  for await (const { firstUnit, endUnit, files } of parts) {
    unitCount = endUnit;
    markHere(bits, { firstUnit, endUnit, files });
    for (const file of files) {
      if (counted.has(file.hash)) continue;
      if (counted.size < keptFilesMax) counted.add(file.hash);
      missingBytes += file.pieces.missingBytesOf(file.sizeBytes);
    }
    fileCount += files.length;
    if (fileCount > keptFilesMax) kept = undefined;
    else if (files.length > 0) kept?.push({ files });
  }
  const here = new PieceSet(unitCount, bits.bytes);
  return { here, isWhole: fileCount === 0, missingBytes, wanted: kept };
}

/** All units of the run that are not of wanted files, and the pieces of those that are here. */
function markHere(bits: GrowingBits, { firstUnit, endUnit, files }: WantedUnits): void {
  let unit = firstUnit;
  for (const file of files) {
    for (; unit < file.firstUnit; unit++) bits.set(unit);
    const { pieceCount } = file.pieces;
    for (let index = 0; index < pieceCount; index++) {
      if (file.pieces.has(index)) bits.set(file.firstUnit + index);
    }
    unit = file.firstUnit + (hasPieces(file.sizeBytes) ? pieceCount : 1);
  }
  for (; unit < endUnit; unit++) bits.set(unit);
}

/** Bits whose number is not known before. */
class GrowingBits {
  bytes = new Uint8Array(1_024);

  set(index: number): void {
    const at = index >> 3;
    if (at >= this.bytes.length) {
      const grown = new Uint8Array(Math.max(at + 1, this.bytes.length * 2));
      grown.set(this.bytes);
      this.bytes = grown;
    }
    this.bytes[at] = (this.bytes[at] ?? 0) | (1 << (index & 7));
  }
}
