import type { Clock } from '../../shared/runtime/clock.ts';

/** Whether a neighbour is connected. */
export interface NeighbourConnection {
  readonly siteCode: string;
  readonly connected: boolean;
  /** Why it is not connected, or what was refused last; empty when all is well. */
  readonly reason: string;
}

/** Whether a neighbour is connected, and for how long it has lacked something. */
export interface NeighbourDelay extends Pick<NeighbourConnection, 'siteCode' | 'connected'> {
  /** Age of the oldest change of this site's side that it has not acknowledged; 0: none. */
  readonly behindMs: number;
}

/** How replication with a neighbour stands. */
export interface NeighbourLag extends NeighbourConnection {
  /** Changes of this site's side that it has not acknowledged; at most `lagCountMax` are counted. */
  readonly changesBehind: number;
  /** Age of the oldest of them; 0: none. */
  readonly behindMs: number;
  /** When it was last heard; 0: never since this program began. */
  readonly heardAtMs: number;
}

interface LinkState {
  connected: boolean;
  reason: string;
  heardAtMs: number;
  refusalCount: number;
  /** Whether `reason` is that of a stream that was refused. */
  isOfRefusal: boolean;
  /** When the stream came up, on a monotonic clock. */
  connectedAtMs: number;
  /** Until then what was refused is not looked at again, on a monotonic clock. */
  heldUntilMs: number;
  held: unknown;
}

/** What is known of the streams with the neighbours, in memory; and who waits for them. */
export class NeighbourStates {
  readonly #clock: Clock;
  readonly #wellMs: number;
  readonly #states = new Map<string, LinkState>();
  readonly #listeners = new Map<string, Set<() => void>>();

  /** @param wellMs a stream that lasts so long, and is heard, is well: what was refused before is over */
  constructor(clock: Clock, wellMs: number) {
    this.#clock = clock;
    this.#wellMs = wellMs;
  }

  /** Calls `listener` each time the stream with a neighbour has come up. @returns ends it */
  onConnected(siteCode: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(siteCode) ?? new Set();
    this.#listeners.set(siteCode, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  of(siteCode: string): Readonly<LinkState> {
    return this.#state(siteCode);
  }

  connected(siteCode: string): void {
    const state = this.#state(siteCode);
    state.connected = true;
    state.connectedAtMs = this.#clock.monotonicMs();
    state.heardAtMs = this.#clock.nowMs();
    if (state.refusalCount === 0) state.reason = '';
    for (const listener of this.#listeners.get(siteCode) ?? []) listener();
  }

  heard(siteCode: string): void {
    const state = this.#state(siteCode);
    state.heardAtMs = this.#clock.nowMs();
    const lastedMs = this.#clock.monotonicMs() - state.connectedAtMs;
    if (!state.connected || !state.isOfRefusal || lastedMs < this.#wellMs) return;
    Object.assign(state, { isOfRefusal: false, refusalCount: 0, reason: '' });
  }

  /** @param held how long a refusal stands without a second look */
  ended(siteCode: string, reason: string, held?: { error: unknown; forMs: number }): void {
    const state = this.#state(siteCode);
    if (state.connected && !held) state.refusalCount = 0;
    state.connected = false;
    state.reason = reason;
    state.isOfRefusal = held !== undefined;
    if (!held) return;
    state.refusalCount += 1;
    state.held = held.error;
    state.heldUntilMs = this.#clock.monotonicMs() + held.forMs;
  }

  /** What is not taken while the stream goes on; empty: all is. */
  refused(siteCode: string, reason: string): void {
    const state = this.#state(siteCode);
    state.reason = reason;
    state.isOfRefusal = false;
  }

  /** It was taken out of the hierarchy: should it come back, nothing of before is held against it. */
  forget(siteCode: string): void {
    this.#states.delete(siteCode);
  }

  /** Of whom anything is known. */
  siteCodes(): string[] {
    return [...this.#states.keys()];
  }

  /** What was refused a moment ago, for whoever tries again too soon. */
  heldRefusal(siteCode: string): unknown {
    const { held, heldUntilMs } = this.#state(siteCode);
    return this.#clock.monotonicMs() < heldUntilMs ? held : undefined;
  }

  #state(siteCode: string): LinkState {
    const known = this.#states.get(siteCode);
    if (known) return known;
    const state: LinkState = {
      ...{ connected: false, reason: 'it has not connected yet', heardAtMs: 0 },
      ...{ refusalCount: 0, heldUntilMs: 0, held: undefined },
      ...{ isOfRefusal: false, connectedAtMs: 0 },
    };
    this.#states.set(siteCode, state);
    return state;
  }
}
