import type { HeldFile } from '../content-library/library-tasks.ts';
import type { IndexedEntry } from '../content-library/manifest-reader.ts';

/** A file of a content, by what it is called there. */
export interface NamedFile extends HeldFile {
  readonly path: string;
  readonly entryIndex: number;
}

/** Longest path that is told: deeper trees are cut in front. */
const pathCharsMax = 4_096;

/** Gives the files of a manifest their paths; entries come in its order, from the first on. */
export class EntryPaths {
  readonly #names: string[] = [];

  /** The files of a batch. */
  filesOf(batch: readonly IndexedEntry[]): NamedFile[] {
    const files: NamedFile[] = [];
    for (const { entry, index } of batch) {
      this.#names.length = entry.depth;
      this.#names[entry.depth] = entry.name;
      if (entry.type !== 'file') continue;
      const { hash, sizeBytes } = entry;
      files.push({ hash, sizeBytes, entryIndex: index, path: this.#path() });
    }
    return files;
  }

  #path(): string {
    let path = '';
    for (let depth = this.#names.length - 1; depth >= 0; depth--) {
      path = path === '' ? `${this.#names[depth]}` : `${this.#names[depth]}/${path}`;
      if (path.length > pathCharsMax) return `…${path.slice(-pathCharsMax)}`;
    }
    return path;
  }
}
