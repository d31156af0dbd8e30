import { WaybillError } from '../domain/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SerialQueue } from '../runtime/serial-queue.ts';
import { addDeltaReferences } from './library-deltas.ts';
import type { LibraryRooms } from './library-rooms.ts';
import { addReferences } from './package-commit.ts';
import type { LibraryPackage } from './package-library.ts';

export interface LibraryIndexNeeds {
  readonly rooms: LibraryRooms;
  /** The queue all changes of the library pass. */
  readonly changes: SerialQueue;
  readonly logger: Logger;
}

/** The index of who uses which file. It can be lost at any time, and is made from the manifests then. */
export class LibraryIndex {
  readonly #needs: LibraryIndexNeeds;

  constructor(needs: LibraryIndexNeeds) {
    this.#needs = needs;
  }

  /** Builds the index anew from the manifests if it is not complete; false when it cannot be. */
  complete(): Promise<boolean> {
    const { rooms, changes, logger } = this.#needs;
    return changes.run(async () => {
      if (await rooms.references.isComplete()) return true;
      await rooms.references.clear();
      const results = [];
      for (const version of rooms.packages.list()) results.push(await this.#reindex(version));
      // What a package uses whose record is set aside is in no index that is built now.
      const { hasSetAside } = rooms.packages;
      const isComplete = !hasSetAside && results.every((isIndexed) => isIndexed);
      if (isComplete) await rooms.references.markComplete();
      logger.info({ isComplete }, 'Index of the library rebuilt');
      return isComplete;
    });
  }

  async #reindex({ packageId, contents }: LibraryPackage): Promise<boolean> {
    const { rooms, logger } = this.#needs;
    try {
      await addReferences(rooms, contents, (content) => rooms.data.readFiles(content));
      for (const content of contents) {
        rooms.data.endWork(content);
        await addDeltaReferences(rooms, content.contentId);
      }
      return true;
    } catch (err) {
      if (!(err instanceof WaybillError)) throw err;
      logger.error({ packageId, err }, 'Package is damaged; no file is deleted');
      return false;
    }
  }
}
