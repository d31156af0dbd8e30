/** How far the reading of a source is. */
export interface SnapshotPosition {
  readonly files: number;
  readonly bytes: number;
}

/** How far the running snapshots are; in memory, because it is worth nothing after a crash. */
export class SnapshotProgress {
  readonly #positions = new Map<string, SnapshotPosition>();
  readonly #listeners = new Set<(packageId: string) => void>();

  get(packageId: string): SnapshotPosition | undefined {
    return this.#positions.get(packageId);
  }

  set(packageId: string, position: SnapshotPosition): void {
    this.#positions.set(packageId, position);
    for (const listener of this.#listeners) listener(packageId);
  }

  /** The snapshot has ended, well or not. */
  delete(packageId: string): void {
    this.#positions.delete(packageId);
  }

  /** Calls `listener` at every step of every snapshot, which may be often. */
  onProgress(listener: (packageId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
