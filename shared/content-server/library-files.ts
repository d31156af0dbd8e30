import { hashOf } from '../content-library/content-hash.ts';
import type { ContentLibrary } from '../content-library/content-library.ts';
import type { ContentItem, SendableFile } from '../content-source/content-item.ts';
import type { EncodedMessage, PieceSource, ReaderGroup } from '../content-source/piece-source.ts';
import { WaybillError } from '../domain/errors.ts';
import { toFilesItem } from './fetch-requests.ts';

/** What reading from the library needs. */
export interface LibraryFilesNeeds {
  readonly library: Pick<ContentLibrary, 'areHeld'>;
  readonly pieceSource: Pick<PieceSource, 'message'>;
}

/** Small files that are in the library, as one message, in the order they were asked for. */
export interface LibraryBatch extends EncodedMessage {
  readonly files: readonly SendableFile[];
}

const emptyHash = hashOf(new Uint8Array());

/** Reads what of an item is in the library; what is not there is no failure. */
export class LibraryFiles {
  readonly #needs: LibraryFilesNeeds;

  constructor(needs: LibraryFilesNeeds) {
    this.#needs = needs;
  }

  /** The message of a piece; undefined when its file is not there. */
  async piece(group: ReaderGroup, item: ContentItem): Promise<EncodedMessage | undefined> {
    const message = await this.#message(group, item);
    return 'lostHash' in message ? undefined : message;
  }

  /** Those of the files that are there; undefined when none is. */
  async batch(
    group: ReaderGroup,
    files: readonly SendableFile[],
  ): Promise<LibraryBatch | undefined> {
    // Nearly always all are there: that is told by reading them, and not asked before.
    let left = files.filter(isPossible);
    for (let tries = 0; left.length > 0; tries++) {
      const message = await this.#message(group, toFilesItem(left));
      if (!('lostHash' in message)) return { ...message, files: left };
      if (tries === 0) left = await this.#held(left);
      // It went away, or was cut, between two looks.
      else left = left.filter(({ hash }) => hash !== message.lostHash);
    }
    return undefined;
  }

  /** The empty file is wherever somebody asks for it. */
  async #held(files: readonly SendableFile[]): Promise<SendableFile[]> {
    const held = await this.#needs.library.areHeld(files);
    return files.filter(({ sizeBytes }, index) => sizeBytes === 0 || held[index] === true);
  }

  async #message(
    group: ReaderGroup,
    item: ContentItem,
  ): Promise<EncodedMessage | { readonly lostHash: string }> {
    try {
      return await this.#needs.pieceSource.message(group, item);
    } catch (error) {
      const details = error instanceof WaybillError ? error.details : undefined;
      if (details?.code !== 'FILE_NOT_HELD') throw error;
      return { lostHash: details.fileHash };
    }
  }
}

/** A file of no bytes has one hash; the piece source does not look at files of no bytes. */
function isPossible({ hash, sizeBytes }: SendableFile): boolean {
  return sizeBytes > 0 || hash === emptyHash;
}
