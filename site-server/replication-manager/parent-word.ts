/** What the parent has heard. */
interface Heard {
  /** Of this site's own changes. */
  readonly sequence: number;
  /** What it says of them is among its own changes up to this number. */
  readonly answeredBy: number;
}

/**
 * Up to which of this site's own changes the parent has had its word: it has heard them, and what it says of them is
 * here. In memory alone: after a start the parent's Hello tells it again.
 */
export class ParentWord {
  #judged = 0;
  /** Of all that was heard, the first that is waited for and the last: what lies between comes with that. */
  #next: Heard | undefined;
  #last: Heard | undefined;

  /** @param cursor what this site has of the parent's changes */
  note(heard: Heard, cursor: number): void {
    this.#advance(cursor);
    if (this.#next) this.#last = heard;
    else this.#next = heard;
  }

  /** Whether the parent has had its word about a change. @param cursor what this site has of the parent's changes */
  isOn(sequence: number, cursor: number): boolean {
    this.#advance(cursor);
    return sequence <= this.#judged;
  }

  #advance(cursor: number): void {
    while (this.#next && this.#next.answeredBy <= cursor) {
      this.#judged = Math.max(this.#judged, this.#next.sequence);
      this.#next = this.#last;
      this.#last = undefined;
    }
  }
}
