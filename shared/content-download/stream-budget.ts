/** What the budget knows of a source. */
export interface BudgetedSource {
  streamCount: number;
  readonly streamLimit: number;
}

/** What limits the streams of one download. */
export interface StreamLimits {
  readonly streamsMax: number;
  readonly streamsInAllMax: number;
}

/** Streams of all downloads of one agent: those that fetch something now share them out equally. */
export class AgentStreams {
  /** Downloads that have a stream open. */
  activeCount = 0;
  readonly #streamsMax: number;

  constructor(streamsMax: number) {
    this.#streamsMax = streamsMax;
  }

  /** Streams that one of them may have; one at least. */
  shareOf({ isActive }: { readonly isActive: boolean }): number {
    const count = this.activeCount + (isActive ? 0 : 1);
    return Math.max(1, Math.floor(this.#streamsMax / count));
  }
}

/**
 * Streams of one download: a few that go where they bring most, and one for each further source that
 * is of use; never more than its share of what the agent has.
 */
export class StreamBudget {
  readonly #limits: StreamLimits;
  readonly #agent: AgentStreams;
  #count = 0;

  constructor(limits: StreamLimits, agent: AgentStreams) {
    this.#limits = limits;
    this.#agent = agent;
  }

  hasRoomFor({ streamCount, streamLimit }: BudgetedSource): boolean {
    const { streamsMax, streamsInAllMax } = this.#limits;
    const share = this.#agent.shareOf({ isActive: this.#count > 0 });
    const inAllMax = Math.min(streamsInAllMax, share);
    // A source that may have more is far away: its streams wait, and leave room for others.
    const someMax = Math.max(streamsMax, streamLimit);
    const max = streamCount === 0 ? inAllMax : Math.min(someMax, inAllMax);
    return streamCount < streamLimit && this.#count < max;
  }

  opened(source: BudgetedSource): void {
    source.streamCount += 1;
    if (this.#count++ === 0) this.#agent.activeCount += 1;
  }

  closed(source: BudgetedSource): void {
    source.streamCount -= 1;
    if (--this.#count === 0) this.#agent.activeCount -= 1;
  }
}
