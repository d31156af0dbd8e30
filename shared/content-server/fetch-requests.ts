import type { ContentItem, SendableFile } from '../content-source/content-item.ts';
import { hasPieces, pieceBytes, pieceCountOf, pieceLengthOf } from '../domain/content.ts';
import {
  contentBytesMax,
  invalidMessage,
  requireCount,
  requireHash,
} from '../package-info/package-version.ts';
import type { FetchRequest__Output } from '../rpc/generated/waybill/v1/FetchRequest.ts';
import type { FileNames__Output } from '../rpc/generated/waybill/v1/FileNames.ts';
import type { PieceName__Output } from '../rpc/generated/waybill/v1/PieceName.ts';

/** Files of one request. */
const fileCountMax = 512;

/** What a request asks for, checked before anything is read. @throws MESSAGE_INVALID */
export function requireItem({ piece, files }: FetchRequest__Output): ContentItem {
  if (piece) return requirePiece(piece);
  if (files) return requireFiles(files);
  throw invalidMessage('body', 'a piece or files', 'nothing');
}

function requirePiece({ fileHash, fileBytes, pieceIndex }: PieceName__Output): ContentItem {
  const hash = requireHash('piece.file_hash', fileHash);
  const sizeBytes = requireCount('piece.file_bytes', fileBytes, { min: 0, max: contentBytesMax });
  if (!hasPieces(sizeBytes)) {
    throw invalidMessage('piece.file_bytes', `more than ${pieceBytes}`, fileBytes);
  }
  requireCount('piece.piece_index', pieceIndex, { min: 0, max: pieceCountOf(sizeBytes) - 1 });
  return {
    kind: 'piece',
    file: { hash, sizeBytes },
    pieceIndex,
    sizeBytes: pieceLengthOf(sizeBytes, pieceIndex),
  };
}

function requireFiles({ files: names }: FileNames__Output): ContentItem {
  if (names.length < 1 || names.length > fileCountMax) {
    throw invalidMessage('files', `1 to ${fileCountMax} files`, `${names.length}`);
  }
  const files = names.map(({ fileHash, fileBytes }) => ({
    hash: requireHash('files.file_hash', fileHash),
    sizeBytes: requireCount('files.file_bytes', fileBytes, { min: 0, max: pieceBytes }),
  }));
  return toFilesItem(files);
}

/** Files as one item. @throws MESSAGE_INVALID when they are over 1 MiB together */
export function toFilesItem(
  files: readonly SendableFile[],
): Extract<ContentItem, { kind: 'files' }> {
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (sizeBytes <= pieceBytes) return { kind: 'files', files, sizeBytes };
  throw invalidMessage('files', `at most ${pieceBytes} bytes together`, `${sizeBytes} bytes`);
}
