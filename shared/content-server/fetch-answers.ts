import type { ContentItem, SendableFile } from '../content-source/content-item.ts';
import type { EncodedMessage, ReaderGroup } from '../content-source/piece-source.ts';
import type { ArrivingBytes } from '../package-receiver/arriving-bytes.ts';
import type { FetchResponse } from '../rpc/generated/waybill/v1/FetchResponse.ts';
import { decodeAnswer, encodeAnswer } from '../rpc/service-definitions.ts';
import { type LibraryBatch, LibraryFiles, type LibraryFilesNeeds } from './library-files.ts';

/** What answering a fetch needs. */
export interface FetchAnswersNeeds extends LibraryFilesNeeds {
  /** Absent where nothing ever arrives. */
  readonly arrivingBytes?: ArrivingBytes | undefined;
}

/** An answer, and whether it brings anything. */
export interface FetchAnswer extends EncodedMessage {
  readonly isHere: boolean;
}

type PieceItem = Extract<ContentItem, { kind: 'piece' }>;

/** Staged files of one request that are read at once: each is a file that is open. */
const stagedReadsMax = 8;

/**
 * Finds what a request asks for: in the library, whose messages are sent as they were read; else among
 * what is arriving; else in the library once more, where it may have gone meanwhile.
 */
export class FetchAnswers {
  readonly #library: LibraryFiles;
  readonly #arrivingBytes: ArrivingBytes | undefined;

  constructor(needs: FetchAnswersNeeds) {
    this.#library = new LibraryFiles(needs);
    this.#arrivingBytes = needs.arrivingBytes;
  }

  /** The encoded answer to one request. @throws AbortError when the piece source stops */
  async answer(group: ReaderGroup, item: ContentItem): Promise<FetchAnswer> {
    const message =
      item.kind === 'piece' ? await this.#piece(group, item) : await this.#files(group, item.files);
    return message ? { ...message, isHere: true } : { ...encoded({ notHere: {} }), isHere: false };
  }

  async #piece(group: ReaderGroup, item: PieceItem): Promise<EncodedMessage | undefined> {
    const held = await this.#library.piece(group, item);
    if (held || !this.#arrivingBytes) return held;
    const { file, pieceIndex } = item;
    const data = await this.#arrivingBytes.readPiece(file, pieceIndex);
    if (!data) return this.#library.piece(group, item);
    return encoded({ piece: { fileHash: Buffer.from(file.hash, 'hex'), pieceIndex, data } });
  }

  async #files(
    group: ReaderGroup,
    files: readonly SendableFile[],
  ): Promise<EncodedMessage | undefined> {
    const held = await this.#library.batch(group, files);
    if (held?.files.length === files.length || !this.#arrivingBytes) return held;
    const staged = await this.#staged(this.#arrivingBytes, without(files, held?.files));
    const elsewhere = [...staged.keys(), ...(held?.files ?? [])];
    const adopted = await this.#library.batch(group, without(files, elsewhere));
    if (staged.size === 0 && !adopted) return held;
    return merged(files, staged, [held, adopted]);
  }

  async #staged(
    arrivingBytes: ArrivingBytes,
    files: readonly SendableFile[],
  ): Promise<Map<SendableFile, Uint8Array>> {
    const staged = new Map<SendableFile, Uint8Array>();
    for (let start = 0; start < files.length; start += stagedReadsMax) {
      const some = files.slice(start, start + stagedReadsMax);
      const read = await Promise.all(some.map((file) => arrivingBytes.readSmall(file)));
      for (const [index, file] of some.entries()) {
        const bytes = read[index];
        if (bytes) staged.set(file, bytes);
      }
    }
    return staged;
  }
}

/** One message of what was found in several places, in the order of the request. */
function merged(
  files: readonly SendableFile[],
  staged: ReadonlyMap<SendableFile, Uint8Array>,
  batches: readonly (LibraryBatch | undefined)[],
): EncodedMessage {
  const found = new Map(staged);
  for (const batch of batches) {
    const messages = batch ? decodeAnswer('Content', 'fetch', batch.bytes).files?.files : [];
    for (const [index, file] of (batch?.files ?? []).entries()) {
      const data = messages?.[index]?.data;
      if (data) found.set(file, data);
    }
  }
  const answer = files.flatMap((file) => {
    const data = found.get(file);
    return data ? [{ fileHash: Buffer.from(file.hash, 'hex'), data }] : [];
  });
  const message = encoded({ files: { files: answer } });
  // They are copied into the new message.
  for (const batch of batches) batch?.done();
  return message;
}

/** Files are told apart as objects: a request may name one twice. */
function without(
  files: readonly SendableFile[],
  others: readonly SendableFile[] = [],
): readonly SendableFile[] {
  const left = new Set(files);
  for (const file of others) left.delete(file);
  return [...left];
}

/** A message in memory of its own. */
function encoded(answer: FetchResponse): EncodedMessage {
  return { bytes: encodeAnswer('Content', 'fetch', answer), done: () => {} };
}
