/** A file no content uses any more, and since when: row of "library unreferenced". */
export interface UnreferencedFile {
  readonly sinceMs: number;
  /** A content used it and let it go; absent for one that no content is known to have used. */
  readonly released?: true;
}

/** Whether the index over the content library can be trusted: row of "library state". */
export interface LibraryIndexState {
  /** False while it is being rebuilt from the manifests. */
  readonly complete: boolean;
}
