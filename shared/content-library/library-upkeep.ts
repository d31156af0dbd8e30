import { lstat, rename, rm } from 'node:fs/promises';
import { parseHash } from '../domain/content.ts';
import type { SerialQueue } from '../runtime/serial-queue.ts';
import { syncDirectories } from './file-system-sync.ts';
import { isSystemError } from './library-failure.ts';
import {
  filePathOf,
  type LibraryLayout,
  manifestPathOf,
  signaturePathOf,
} from './library-layout.ts';
import type { LibraryRooms } from './library-rooms.ts';
import type { LibrarySurvey } from './library-survey.ts';
import type { DamagedFile } from './library-tasks.ts';
import type { Quarantine } from './quarantine.ts';

/** What the upkeep of a library works on. */
export interface LibraryUpkeepParts {
  readonly rooms: LibraryRooms;
  readonly layout: LibraryLayout;
  readonly quarantine: Quarantine;
  /** The queue all changes of the library pass. */
  readonly changes: SerialQueue;
  /** Looks for what nobody uses. */
  readonly survey: () => Promise<LibrarySurvey>;
}

/**
 * What a validation does to a library: sets aside what is damaged, so that it is never served again, and
 * tells what that means. Packages that use such a file are here still, and lack it, until it comes again.
 */
export class LibraryUpkeep {
  readonly #parts: LibraryUpkeepParts;

  constructor(parts: LibraryUpkeepParts) {
    this.#parts = parts;
  }

  /** What is set aside. */
  get quarantine(): Quarantine {
    return this.#parts.quarantine;
  }

  /**
   * Sets files of `file-lib` aside that are still as they were found.
   *
   * @returns the hashes of those that were
   */
  setAside(files: readonly DamagedFile[]): Promise<readonly string[]> {
    return this.#parts.rooms.files.removeDamaged(files);
  }

  /** These files were hashed just now, and are right. */
  noteRight(hashes: Iterable<string>): void {
    for (const hash of hashes) this.#parts.rooms.files.verified.add(hash);
  }

  /** What of the library no package uses; changes nothing. */
  survey(): Promise<LibrarySurvey> {
    return this.#parts.survey();
  }

  /** Sets the manifest or the signature of a content aside: whoever brings the package brings it again. */
  async setAsideManifest(contentId: string, part: 'manifest' | 'signature'): Promise<void> {
    const { layout, quarantine, changes } = this.#parts;
    const pathOf = part === 'manifest' ? manifestPathOf : signaturePathOf;
    const path = pathOf(layout.dataLibrary, contentId);
    await changes.run(async () => {
      const placeOf = await quarantine.prepare();
      const to = placeOf(`${contentId}.${part}`);
      try {
        await rename(path, to);
      } catch (error) {
        if (isSystemError(error, 'ENOENT')) return;
        await rm(path, { recursive: true, force: true });
      }
      await syncDirectories(layout.directory, [layout.dataLibrary]);
      await quarantine.noteTaken([to]);
    });
  }

  /**
   * Writes the record of a package anew when the one on disk is not what this process knows.
   *
   * @returns whether it was not
   */
  mendRecord(packageId: string): Promise<boolean> {
    return this.#parts.changes.run(() => this.#parts.rooms.packages.mend(packageId));
  }

  /** Whether a list of deltas is there and cannot be read; it is of no use then, and does no harm. */
  async isDeltaListDamaged(contentId: string): Promise<boolean> {
    return (await this.#parts.rooms.data.readDeltas(contentId)) === undefined;
  }

  /**
   * The other packages here that use a file; also one that was just being committed, and counted it as
   * here, when the file was taken away.
   */
  otherUsersOf(hash: string, packageId: string): Promise<readonly string[]> {
    return this.#parts.changes.run(async () => {
      const users = await this.#usersOf(hash);
      return users.filter((user) => user !== packageId);
    });
  }

  async #usersOf(hash: string): Promise<readonly string[]> {
    const { references, packages } = this.#parts.rooms;
    const contentIds = await references.contentsUsing(hash);
    return [...new Set(contentIds.flatMap((id) => packages.contentOf(id)?.packageId ?? []))];
  }

  /** How many files each package lacks that were set aside and have not come again. */
  async lackingFiles(): Promise<ReadonlyMap<string, number>> {
    const { layout, quarantine } = this.#parts;
    const counts = new Map<string, number>();
    for (const hash of quarantine.names()) {
      if (parseHash(hash) === undefined) continue;
      const stats = await lstat(filePathOf(layout.fileLibrary, hash)).catch(ignoreAbsence);
      if (stats?.isFile()) continue;
      for (const user of await this.#usersOf(hash)) {
        counts.set(user, (counts.get(user) ?? 0) + 1);
      }
    }
    return counts;
  }
}

function ignoreAbsence(error: unknown): undefined {
  if (!isSystemError(error, 'ENOENT', 'ENOTDIR')) throw error;
}
