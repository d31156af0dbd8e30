/** How many there are of each kind, counted as they come and go: to ask costs nothing. In memory only. */
export class Tally<Kind extends string> {
  readonly #counts = new Map<Kind, number>();

  /** So many more of a kind; fewer when it is negative. */
  add(kind: Kind, count = 1): void {
    this.#counts.set(kind, this.of(kind) + count);
  }

  /** One is of another kind now; undefined: it was not there before, or is gone. */
  move(from: Kind | undefined, to: Kind | undefined): void {
    if (from === to) return;
    if (from !== undefined) this.add(from, -1);
    if (to !== undefined) this.add(to);
  }

  of(kind: Kind): number {
    return this.#counts.get(kind) ?? 0;
  }
}
