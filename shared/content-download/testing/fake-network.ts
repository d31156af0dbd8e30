import { throwIfAborted } from '../../runtime/abort-error.ts';
import type { Clock } from '../../runtime/clock.ts';
import { WakeSignal } from '../../runtime/wake-signal.ts';
import { wakeWithin } from '../timed-wait.ts';

/** A node's link: bytes per second each way, and what has passed. */
export class FakeLink {
  bytesPerSecond: number;
  sentBytes = 0;

  constructor(bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
  }
}

interface Flow {
  readonly from: FakeLink;
  readonly to: FakeLink;
  leftBytes: number;
  /** Bytes per millisecond. */
  rate: number;
  done: () => void;
}

/** Moves bytes in the time it takes when all that share a link share it evenly. */
export class FakeNetwork {
  readonly #clock: Clock;
  readonly #flows = new Set<Flow>();
  readonly #changed = new WakeSignal();
  readonly #linkIds = new Map<FakeLink, number>();
  #lastMs: number;
  #areRatesStale = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.monotonicMs();
  }

  /** Runs until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#pass();
      const ms = this.#nextMs();
      await wakeWithin(this.#changed, ms, { clock: this.#clock, signal }).catch(() => {});
    }
  }

  /** Resolves when all has arrived. @throws AbortError; what has passed until then has passed */
  async transfer(from: FakeLink, to: FakeLink, bytes: number, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    this.#pass();
    const flow: Flow = { from, to, leftBytes: bytes, rate: 0, done: () => {} };
    const end = () => this.#end(flow);
    await new Promise<void>((resolve) => {
      flow.done = resolve;
      this.#flows.add(flow);
      signal.addEventListener('abort', end, { once: true });
      this.#areRatesStale = true;
      this.#changed.wake();
    });
    signal.removeEventListener('abort', end);
    throwIfAborted(signal);
  }

  #end(flow: Flow): void {
    this.#pass();
    this.#remove(flow);
  }

  #remove(flow: Flow): void {
    if (!this.#flows.delete(flow)) return;
    this.#areRatesStale = true;
    flow.done();
    this.#changed.wake();
  }

  #pass(): void {
    const nowMs = this.#clock.monotonicMs();
    const ms = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (ms <= 0) return;
    if (this.#areRatesStale) this.#share();
    for (const flow of [...this.#flows]) {
      const bytes = ms * flow.rate;
      flow.from.sentBytes += Math.min(bytes, flow.leftBytes);
      flow.leftBytes -= bytes;
      if (flow.leftBytes < 1) this.#remove(flow);
    }
  }

  #nextMs(): number {
    if (this.#areRatesStale) this.#share();
    let ms = Number.POSITIVE_INFINITY;
    for (const { leftBytes, rate } of this.#flows) ms = Math.min(ms, Math.ceil(leftBytes / rate));
    return ms;
  }

  /** Max-min fairness: what is left of the fullest link is shared by the flows it holds up. */
  #share(): void {
    this.#areRatesStale = false;
    const ends = new Map<string, { left: number; flows: Set<Flow> }>();
    const idOf = (link: FakeLink) => {
      const id = this.#linkIds.get(link) ?? this.#linkIds.size;
      this.#linkIds.set(link, id);
      return id;
    };
    for (const flow of this.#flows) {
      for (const [link, way] of [
        [flow.from, 'up'],
        [flow.to, 'down'],
      ] as const) {
        const key = `${way}${idOf(link)}`;
        const end = ends.get(key) ?? { left: link.bytesPerSecond / 1_000, flows: new Set() };
        end.flows.add(flow);
        ends.set(key, end);
      }
    }
    const open = new Set(ends.values());
    while (open.size > 0) {
      let fullest: { left: number; flows: Set<Flow> } | undefined;
      let rate = Number.POSITIVE_INFINITY;
      for (const end of open) {
        if (end.flows.size === 0) open.delete(end);
        else if (end.left / end.flows.size < rate) {
          rate = end.left / end.flows.size;
          fullest = end;
        }
      }
      if (!fullest) return;
      for (const flow of [...fullest.flows]) {
        flow.rate = rate;
        for (const end of open) if (end.flows.delete(flow)) end.left -= rate;
      }
    }
  }
}
