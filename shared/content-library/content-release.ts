import type { ContentDescriptor } from '../domain/content.ts';
import { WaybillError } from '../domain/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SerialQueue } from '../runtime/serial-queue.ts';
import { ContentLeases } from './content-leases.ts';
import type { LibraryRooms } from './library-rooms.ts';
import { filesOf } from './manifest-reader.ts';

/** What letting go of contents needs. */
export interface ContentReleaseParts {
  readonly rooms: LibraryRooms;
  /** The queue all changes of the library pass. */
  readonly changes: SerialQueue;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when the references of a content are gone, and its manifest is not. */
  readonly onReleased: () => void;
}

/**
 * Lets go of contents that no package has any more: at once, or when their last reader ends.
 * References go first, then the manifest: as long as that is here, the rest can be done again.
 */
export class ContentRelease {
  readonly #parts: ContentReleaseParts;
  readonly #leases = new ContentLeases((contentId) => this.#leaseEnded(contentId));
  /** Contents that lost their package while somebody read them. */
  readonly #retired = new Map<string, ContentDescriptor>();

  constructor(parts: ContentReleaseParts) {
    this.#parts = parts;
  }

  /** Takes a lease: the content stays until the function given back is called. */
  lease(contentId: string): () => void {
    return this.#leases.take(contentId);
  }

  /** Whether a content is still to keep its files: a package has it, or may have it, or a reader. */
  readonly isLive = (contentId: string): boolean => {
    const { packages } = this.#parts.rooms;
    if (packages.contentOf(contentId) !== undefined || packages.hasSetAside) return true;
    return this.#leases.isHeld(contentId);
  };

  /** Lets go of those contents that are not among the successors. Runs in the queue. */
  async letGo(
    contents: readonly ContentDescriptor[],
    successors: readonly ContentDescriptor[],
  ): Promise<void> {
    const successorIds = successors.map((content) => content.contentId);
    for (const content of contents) {
      if (successorIds.includes(content.contentId)) continue;
      if (this.#leases.isHeld(content.contentId)) this.#retired.set(content.contentId, content);
      else await this.#release(content, successorIds);
    }
  }

  /**
   * Lets go of contents that no package and no reader has: what a crash between two steps of a
   * commit or a removal leaves. Runs in the queue.
   */
  async letGoOfLeftovers(): Promise<void> {
    const { rooms, clock, logger } = this.#parts;
    const ids = await rooms.data.listContentIds();
    const gone = ids.filter((contentId) => !this.isLive(contentId));
    if (gone.length === 0) return;
    await rooms.references.dropGone(this.isLive, clock.nowMs());
    for (const contentId of gone) {
      await rooms.data.remove(contentId);
      logger.info({ contentId }, 'Content of no package let go');
    }
  }

  async #release(content: ContentDescriptor, successors: readonly string[]): Promise<void> {
    const { rooms, clock, logger, onReleased } = this.#parts;
    const { contentId } = content;
    const sinceMs = clock.nowMs();
    try {
      for await (const batch of rooms.data.open(content).entries()) {
        const hashes = filesOf(batch).map((file) => file.hash);
        await rooms.references.release(contentId, hashes, { successors, sinceMs });
      }
      await this.#releaseDeltas(contentId, { successors, sinceMs });
    } catch (err) {
      if (!(err instanceof WaybillError)) throw err;
      // Without a manifest the index itself says what the content used.
      logger.warn({ contentId, err }, 'Manifest of a content to let go was damaged');
      await rooms.references.dropGone(this.isLive, sinceMs);
    }
    onReleased();
    await rooms.data.remove(contentId);
  }

  async #releaseDeltas(
    contentId: string,
    options: { readonly successors: readonly string[]; readonly sinceMs: number },
  ): Promise<void> {
    const { rooms } = this.#parts;
    const deltas = await rooms.data.readDeltas(contentId);
    // Without its list the index itself says what it used.
    if (!deltas) await rooms.references.dropGone(this.isLive, options.sinceMs);
    const hashes = deltas?.map(({ deltaHash }) => deltaHash) ?? [];
    await rooms.references.release(contentId, hashes, options);
  }

  #leaseEnded(contentId: string): void {
    const content = this.#retired.get(contentId);
    if (!content) return;
    const { changes, logger } = this.#parts;
    changes
      .run(async () => {
        if (this.isLive(contentId) || !this.#retired.delete(contentId)) return;
        await this.#release(content, []);
      })
      .catch((err: unknown) => {
        // The next sweep finds the content without a package.
        logger.warn({ contentId, err }, 'Content could not be let go yet');
      });
  }
}
