import assert from 'node:assert/strict';
import { pieceBytes } from '../domain/content.ts';
import { isErrorWithCode } from '../domain/errors.ts';
import type { RequestOf } from '../rpc/conversation.ts';
import { encodeMessage, methodDefinition } from '../rpc/service-definitions.ts';
import { requireItem } from './fetch-requests.ts';

type Request = RequestOf<'Content', 'fetch'>;

const hash = 'ab'.repeat(32);
const fileHash = Buffer.from(hash, 'hex');

/** As a request comes from the wire. */
function itemOf(request: Request) {
  const bytes = encodeMessage('Content', 'fetch', request);
  const received = methodDefinition('Content', 'fetch').requestDeserialize(bytes);
  return requireItem(received as Parameters<typeof requireItem>[0]);
}

const files = (count: number, fileBytes: number): Request => ({
  files: { files: Array.from({ length: count }, () => ({ fileHash, fileBytes })) },
});
const piece = (fileBytes: number | string, pieceIndex: number): Request => ({
  piece: { fileHash, fileBytes, pieceIndex },
});

describe('requests of a fetch (SEC-4)', () => {
  it('name a piece, the last one in its length', () => {
    const sizeBytes = 2 * pieceBytes + 5;
    const expected = { kind: 'piece', file: { hash, sizeBytes }, pieceIndex: 2, sizeBytes: 5 };
    assert.deepEqual(itemOf(piece(sizeBytes, 2)), expected);
  });

  it('name files, empty ones too, up to 512 and 1 MiB together', () => {
    const item = itemOf(files(512, 2048));
    assert.equal(item.sizeBytes, pieceBytes);
    assert.equal(itemOf(files(1, pieceBytes)).sizeBytes, pieceBytes);
    assert.equal(itemOf(files(512, 0)).sizeBytes, 0);
  });

  const refused: Readonly<Record<string, [Request, string]>> = {
    nothing: [{}, 'body'],
    'a piece without a hash': [{ piece: { fileBytes: 2 * pieceBytes } }, 'piece.file_hash'],
    'a hash of 31 bytes': [
      { piece: { fileHash: fileHash.subarray(1), fileBytes: 2 * pieceBytes } },
      'piece.file_hash',
    ],
    'a piece of a file of one piece': [piece(pieceBytes, 0), 'piece.file_bytes'],
    'a piece of a file over the limit': [piece(2 ** 43 + 1, 0), 'piece.file_bytes'],
    'a piece of a file of 2^64 - 1 bytes': [piece('18446744073709551615', 0), 'piece.file_bytes'],
    'a piece that the file does not have': [piece(2 * pieceBytes, 2), 'piece.piece_index'],
    'no files': [files(0, 0), 'files'],
    'too many files': [files(513, 0), 'files'],
    'a file over 1 MiB': [files(1, pieceBytes + 1), 'files.file_bytes'],
    'files over 1 MiB together': [files(2, pieceBytes / 2 + 1), 'files'],
    'a file without a hash': [{ files: { files: [{ fileBytes: 1 }] } }, 'files.file_hash'],
  };
  for (const [name, [request, field]] of Object.entries(refused)) {
    it(`are refused: ${name}`, () => {
      assert.throws(
        () => itemOf(request),
        (error) =>
          isErrorWithCode(error, 'MESSAGE_INVALID') &&
          error.details.code === 'MESSAGE_INVALID' &&
          error.details.field === field,
      );
    });
  }
});
