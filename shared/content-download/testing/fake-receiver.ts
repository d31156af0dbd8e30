import { hasPieces, pieceCountOf } from '../../domain/content.ts';
import { WaybillError } from '../../domain/errors.ts';
import { PieceSet } from '../../domain/piece-set.ts';
import type { WantedUnits } from '../../package-receiver/content-inspection.ts';
import type { IncomingPiece } from '../../package-receiver/incoming-files.ts';
import type { PackageAction } from '../../package-receiver/package-actions.ts';
import type { SmallFile } from '../../package-receiver/packed-files.ts';
import type { ContentReceiver } from '../content-fetch.ts';
import { type FakeContent, type FakeFile, unitLengthOf } from './fake-content.ts';

/** A package receiver in memory: takes zeros, and refuses what begins with another byte. */
export class FakeReceiver implements ContentReceiver {
  readonly content: FakeContent;
  readonly held: PieceSet;
  hasManifest = false;
  /** Thrown instead of taking the next pieces, one each. */
  readonly failures: Error[] = [];
  /** Units that came, in their order, repeats included. */
  readonly taken: number[] = [];

  constructor(content: FakeContent) {
    this.content = content;
    this.held = new PieceSet(content.unitCount);
  }

  async manifestFilesOf(_action: PackageAction, contentId: string) {
    if (!this.hasManifest) return undefined;
    return { contentId, manifestPath: 'm', signaturePath: 's' };
  }

  async putManifest(
    _action: PackageAction,
    contentId: string,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (chunk[0] !== 0) {
        const reason = 'it is wrong';
        throw new WaybillError({ code: 'MANIFEST_INVALID', contentId, line: 1, reason });
      }
    }
    if (bytes !== this.content.descriptor.manifestBytes) throw invalid('manifest');
    this.hasManifest = true;
  }

  async *wantedFiles(): AsyncGenerator<WantedUnits> {
    const { files } = this.content;
    for (let start = 0; start < files.length; start += 2_000) {
      const part = files.slice(start, start + 2_000);
      const firstUnit = part[0]?.firstUnit ?? 0;
      const endUnit = files[start + 2_000]?.firstUnit ?? this.content.unitCount;
      yield { firstUnit, endUnit, files: part.flatMap((file) => this.#wanted(file)) };
    }
  }

  async receivePiece(_action: PackageAction, piece: IncomingPiece): Promise<void> {
    this.#take(piece.hash, piece.pieceIndex, piece.bytes);
  }

  async receiveSmallFiles(_action: PackageAction, files: readonly SmallFile[]): Promise<void> {
    for (const { hash, bytes } of files) this.#take(hash, 0, bytes);
  }

  #take(hash: string, pieceIndex: number, bytes: Uint8Array): void {
    const failure = this.failures.shift();
    if (failure) throw failure;
    const file = this.content.fileOf(hash);
    if (!file) throw new WaybillError({ code: 'FILE_NOT_WANTED', fileHash: hash });
    if (bytes.length !== unitLengthOf(file, pieceIndex)) throw invalid('piece.data');
    if (bytes.length > 0 && bytes[0] !== 0) throw mismatch(hash);
    const unit = file.firstUnit + pieceIndex;
    this.taken.push(unit);
    this.held.add(unit);
  }

  #wanted({ hash, sizeBytes, firstUnit }: FakeFile) {
    const pieceCount = hasPieces(sizeBytes) ? pieceCountOf(sizeBytes) : 0;
    const pieces = new PieceSet(pieceCount);
    for (let index = 0; index < pieceCount; index++) {
      if (this.held.has(firstUnit + index)) pieces.add(index);
    }
    const isHere = pieceCount === 0 ? this.held.has(firstUnit) : pieces.isComplete;
    return isHere ? [] : [{ hash, sizeBytes, firstUnit, pieces }];
  }
}

function mismatch(fileHash: string): WaybillError {
  const actualHash = 'f'.repeat(64);
  const expectedHash = `e${fileHash.slice(1)}`;
  return new WaybillError({ code: 'FILE_HASH_MISMATCH', expectedHash, actualHash });
}

function invalid(field: string): WaybillError {
  return new WaybillError({ code: 'MESSAGE_INVALID', field, expected: 'another', actual: 'this' });
}
