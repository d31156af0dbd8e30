/**
 * The one place that says when bytes of content may leave this node (PTM-3, PTM-5, PTM-6, REP-4): every
 * stream asks it before each part it sends. Called by whatever sends content; told by whoever keeps the
 * settings. In memory only: a restart begins with what is told then.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Priority } from '../domain/package.ts';
import { freeControls, type TransferControls } from '../domain/transfer-controls.ts';
import type { RemainingTransfer } from '../domain/transfer-pace.ts';
import { ignoreAbort } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import { Passage } from './passage.ts';
import { remainingMs } from './transfer-eta.ts';
import {
  type PermitOptions,
  type Standstill,
  TransferPermit,
  type Waiter,
} from './transfer-permit.ts';

/** Longest sleep while something waits: so long may the machine's clock be wrong before it is seen. */
const lookAgainMs = 1_000;
/**
 * How long a transfer of higher priority that asks for nothing keeps others waiting: what it takes to send
 * one part and ask for the next. One that is slower leaves the rest of the way to them, and waits for a
 * part of theirs at most.
 */
const holdMs = 100;

/** A transfer that is under way, for whoever asks when it will be done. */
export interface TransferUnderWay {
  readonly passageNames: readonly string[];
  readonly priority: Priority;
  readonly ignoresSchedules: boolean;
}

/** Decides which part leaves next, over all transfers of this node. */
export class TransferArbiter {
  readonly #clock: Clock;
  readonly #passages = new Map<string, Passage>();
  readonly #permits = new Set<TransferPermit>();
  readonly #listeners = new Set<() => void>();
  #isServing = false;
  #news = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is allowed on a passage from now on; running transfers obey with their next part. */
  setControls(passageName: string, controls: TransferControls): void {
    const passage = this.#passage(passageName);
    // What is said again changes nothing, not even what is owed.
    if (isDeepStrictEqual(passage.controls, controls)) return;
    passage.controls = controls;
    this.#lookAgain();
    for (const listener of this.#listeners) listener();
  }

  /** What is allowed on a passage now. */
  controlsOf(passageName: string): TransferControls {
    return this.#passages.get(passageName)?.controls ?? freeControls;
  }

  /** Calls the listener after each change of what is allowed anywhere, until the result is called. */
  onControlsChanged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * A transfer begins, which sends over all of these passages.
   *
   * @returns what its streams ask before each part; it is to be closed when the transfer is over
   */
  open(
    passageNames: readonly string[],
    priority: Priority,
    options: PermitOptions = {},
  ): TransferPermit {
    const passages = passageNames.map((name) => this.#passage(name));
    const permit = new TransferPermit(passages, priority, {
      ...options,
      clock: this.#clock,
      takeAtOnce: (bytes) => this.#takeAtOnce(permit, bytes),
      onWaiting: () => this.#serve(),
      onChanged: () => this.#lookAgain(),
      onClosed: () => {
        this.#permits.delete(permit);
        this.#lookAgain();
      },
    });
    this.#permits.add(permit);
    return permit;
  }

  /** A transfer takes these passages from its next part on, whatever it took before. */
  reroute(permit: TransferPermit, passageNames: readonly string[]): void {
    const isSame =
      permit.passages.length === passageNames.length &&
      permit.passages.every(({ name }, index) => name === passageNames[index]);
    if (!isSame) permit.passages = passageNames.map((name) => this.#passage(name));
  }

  /** Whether the passages are all open to this priority now. */
  isOpen(passageNames: readonly string[], priority: Priority): boolean {
    const nowMs = this.#clock.nowMs();
    return passageNames.every((name) => this.#passage(name).isOpenTo(priority, nowMs));
  }

  /**
   * When the passages are all open to this priority: now or earlier when they are, undefined when they
   * never will be. What is closed at different times may be open together only later; then the latest
   * of their next openings is said, and is to be asked again then.
   *
   * @param nowMs what whoever asks takes for now: what is open is said to be since then
   */
  opensAtMs(
    passageNames: readonly string[],
    priority: Priority,
    nowMs = this.#clock.nowMs(),
  ): number | undefined {
    const times = passageNames.map((name) => this.#passage(name).opensAtMs(priority, nowMs));
    return times.reduce<number | undefined>(
      (latest, one) =>
        latest === undefined || one === undefined ? undefined : Math.max(latest, one),
      nowMs,
    );
  }

  /**
   * Milliseconds until what remains of a transfer is through, by schedules and limits as they are set now,
   * of which others that send at once take their share; 0 when nobody can say.
   */
  etaMs(transfer: TransferUnderWay, remaining: RemainingTransfer): number {
    const { passageNames, priority, ignoresSchedules } = transfer;
    const ways = passageNames.map((name) => {
      const passage = this.#passage(name);
      return { passage, sharerCount: this.#sharerCount(passage, priority) };
    });
    const nowMs = this.#clock.nowMs();
    return remainingMs({ ways, priority, ignoresSchedules, ...remaining }, nowMs) ?? 0;
  }

  /** Those of lower priority leave the way to the others. */
  #sharerCount(passage: Passage, priority: Priority): number {
    let count = 0;
    for (const permit of this.#permits) {
      if (permit.priority <= priority && permit.passages.includes(passage)) count += 1;
    }
    return Math.max(1, count);
  }

  #passage(name: string): Passage {
    const known = this.#passages.get(name) ?? new Passage(name);
    this.#passages.set(name, known);
    return known;
  }

  #takeAtOnce(permit: TransferPermit, bytes: number): boolean {
    if (permit.isAsking || this.#standstillOf(permit)) return false;
    this.#grant(permit, bytes);
    return true;
  }

  #lookAgain(): void {
    this.#news.abort();
    this.#news = new AbortController();
  }

  /** Runs while anybody waits. */
  async #serve(): Promise<void> {
    this.#lookAgain();
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      for (;;) {
        const { signal } = this.#news;
        const wakeAtMs = this.#grantAll();
        if (wakeAtMs === undefined) return;
        const sleepMs = Math.min(lookAgainMs, wakeAtMs - this.#clock.monotonicMs());
        await this.#clock.sleep(Math.max(0, sleepMs), signal).catch(ignoreAbort);
      }
    } finally {
      this.#isServing = false;
    }
  }

  /** @returns when to look again, monotonic; undefined when nobody waits any more */
  #grantAll(): number | undefined {
    let wakeAtMs: number | undefined;
    for (let permit = this.#next(); permit; permit = this.#next()) this.#grantNext(permit);
    for (const permit of this.#permits) {
      if (!permit.isAsking) continue;
      wakeAtMs = Math.min(wakeAtMs ?? Number.POSITIVE_INFINITY, permit.standstill?.untilMs ?? 0);
    }
    return wakeAtMs;
  }

  /** The transfer whose turn it is, of those that may send: by priority, then who was longest without. */
  #next(): TransferPermit | undefined {
    let best: TransferPermit | undefined;
    for (const permit of [...this.#permits].sort(comparePermits)) {
      if (!permit.isAsking) continue;
      permit.standstill = this.#standstillOf(permit);
      if (!permit.standstill) best ??= permit;
    }
    return best;
  }

  #grantNext(permit: TransferPermit): void {
    const waiter = permit.shift() as Waiter;
    const bytes = waiter.bytes();
    if (bytes > 0) this.#grant(permit, bytes);
    else permit.passedOver(this.#clock.monotonicMs());
    waiter.resolve(bytes);
  }

  #grant(permit: TransferPermit, bytes: number): void {
    const [nowMs, monotonicMs] = [this.#clock.nowMs(), this.#clock.monotonicMs()];
    for (const passage of permit.passages) passage.charge(bytes, nowMs, monotonicMs);
    permit.granted(bytes, monotonicMs);
  }

  /** Why the transfer may send nothing now. */
  #standstillOf(permit: TransferPermit): Standstill | undefined {
    const [nowMs, monotonicMs] = [this.#clock.nowMs(), this.#clock.monotonicMs()];
    for (const passage of permit.passages) {
      if (permit.ignoresSchedules || passage.isOpenTo(permit.priority, nowMs)) continue;
      return { reason: 'window-closed', untilMs: Number.POSITIVE_INFINITY };
    }
    for (const other of this.#permits) {
      const untilMs = holdUntilMs(other, permit);
      if (untilMs > monotonicMs) return { reason: 'priority', untilMs };
    }
    const slowest = latestFree(permit.passages);
    if (!slowest || slowest.freeAtMs <= monotonicMs) return undefined;
    return { reason: 'rate', untilMs: slowest.freeAtMs, passage: slowest };
  }
}

/**
 * Until when a transfer of higher priority keeps another one waiting on a way they share. One that
 * waits itself, for something that is not in the other's way, keeps nobody.
 */
function holdUntilMs(other: TransferPermit, permit: TransferPermit): number {
  if (other.priority >= permit.priority) return Number.NEGATIVE_INFINITY;
  if (!other.passages.some((passage) => permit.passages.includes(passage))) {
    return Number.NEGATIVE_INFINITY;
  }
  const { standstill } = other;
  const isElsewhere =
    standstill && !(standstill.passage && permit.passages.includes(standstill.passage));
  return other.isAsking && isElsewhere ? Number.NEGATIVE_INFINITY : other.grantedAtMs + holdMs;
}

function latestFree(passages: readonly Passage[]): Passage | undefined {
  let latest: Passage | undefined;
  for (const one of passages) if (!latest || one.freeAtMs > latest.freeAtMs) latest = one;
  return latest;
}

function comparePermits(a: TransferPermit, b: TransferPermit): number {
  return a.priority - b.priority || a.inLineSinceMs - b.inLineSinceMs;
}
