/** What the budget knows of a source. */
export interface BudgetedSource {
  streamCount: number;
  readonly streamLimit: number;
}

/**
 * Streams of one download: a few that go where they bring most, and one for each further source that
 * is of use.
 */
export class StreamBudget {
  readonly #limits: { readonly streamsMax: number; readonly streamsInAllMax: number };
  #count = 0;

  constructor(limits: { readonly streamsMax: number; readonly streamsInAllMax: number }) {
    this.#limits = limits;
  }

  hasRoomFor({ streamCount, streamLimit }: BudgetedSource): boolean {
    const { streamsMax, streamsInAllMax } = this.#limits;
    const max = streamCount === 0 ? streamsInAllMax : Math.min(streamsMax, streamsInAllMax);
    return streamCount < streamLimit && this.#count < max;
  }

  opened(source: BudgetedSource): void {
    source.streamCount += 1;
    this.#count += 1;
  }

  closed(source: BudgetedSource): void {
    source.streamCount -= 1;
    this.#count -= 1;
  }
}
