/** A file no content uses any more, and since when: row of "library unreferenced". */
export interface UnreferencedFile {
  readonly sinceMs: number;
}

/** Whether the index over the content library can be trusted: row of "library state". */
export interface LibraryIndexState {
  /** False while it is being rebuilt from the manifests. */
  readonly complete: boolean;
}
