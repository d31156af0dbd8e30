/** Who reads which content: while a lease is held, nothing of the content is let go. */
export class ContentLeases {
  readonly #counts = new Map<string, number>();
  readonly #onEnded: (contentId: string) => void;

  /** @param onEnded called when the last lease of a content ends */
  constructor(onEnded: (contentId: string) => void) {
    this.#onEnded = onEnded;
  }

  isHeld(contentId: string): boolean {
    return this.#counts.has(contentId);
  }

  /** Takes a lease; the function given back ends it, once. */
  take(contentId: string): () => void {
    this.#counts.set(contentId, (this.#counts.get(contentId) ?? 0) + 1);
    let isEnded = false;
    return () => {
      if (isEnded) return;
      isEnded = true;
      const left = (this.#counts.get(contentId) ?? 1) - 1;
      if (left > 0) this.#counts.set(contentId, left);
      else {
        this.#counts.delete(contentId);
        this.#onEnded(contentId);
      }
    };
  }
}
