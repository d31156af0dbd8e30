import type { DataLibrary } from './data-library.ts';
import type { FileLibrary } from './file-library.ts';
import type { LibraryReferences } from './library-references.ts';
import type { PackageLibrary } from './package-library.ts';

/** The parts of a content library, for what works on all of them. */
export interface LibraryRooms {
  readonly files: FileLibrary;
  readonly data: DataLibrary;
  readonly packages: PackageLibrary;
  readonly references: LibraryReferences;
}
