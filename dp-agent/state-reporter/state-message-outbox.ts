/**
 * What this DP has to say and the management point has not taken yet (PULL-8): in order, on disk. The
 * pull DP puts messages in, in the very batch that holds what they tell of; the state reporter takes
 * them out. Writes the table "state message outbox". A crash leaves rows, which are sent (again).
 */
import { endsJob, type StateMessage } from '../../shared/domain/state-message.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { SerialCounter } from '../../shared/state-store/serial-counter.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** A message as its writer knows it: without its speaker, its place and its time. */
export type StateMessageFacts = Omit<StateMessage, 'dpId' | 'place' | 'timeMs'>;

export interface StateMessageOutboxNeeds {
  readonly store: StateStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface StateMessageOutboxConfig {
  readonly dpId: string;
  /** Numbers may be lost with a damaged store: the outbox counts as a new one then. @default false */
  readonly isStoreDamaged?: boolean;
  /** Most messages that wait; the oldest go first. @default 100_000 */
  readonly messageCountMax?: number;
}

/** What is remembered of a row. */
interface Waiting {
  readonly packageId: string;
  readonly jobSerial: number;
  readonly state: StateMessage['state'];
}

const messageCountMaxDefault = 100_000;
const counterName = 'state-message-outbox';
const madeAtName = 'outbox-made-at-ms';

export class StateMessageOutbox implements Component {
  readonly #needs: StateMessageOutboxNeeds;
  readonly #config: Required<StateMessageOutboxConfig>;
  /** The rows, lowest serial first. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #filled = new WakeSignal();
  #counter: SerialCounter | undefined;
  #madeAtMs = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(needs: StateMessageOutboxNeeds, config: StateMessageOutboxConfig) {
    this.#needs = needs;
    this.#config = {
      isStoreDamaged: false,
      messageCountMax: messageCountMaxDefault,
      ...config,
    };
  }

  async start(): Promise<void> {
    const { store } = this.#needs;
    let atLeast = 0;
    for await (const [, message] of this.#rows.list()) {
      atLeast = message.place.serial;
      this.#waiting.set(atLeast, message);
    }
    this.#madeAtMs = await this.#openedAtMs();
    this.#counter = await SerialCounter.open(store, counterName, { atLeast });
    this.#unsubscribe = store.onWritten((changes) => this.#onWritten(changes));
    if (this.#waiting.size > 0) this.#filled.wake();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
  }

  /** Messages that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * The changes that put a message in. Must be written in the same turn of the event loop, so that
   * numbers and batches are in one order; and synced, so that no number that was sent is given out
   * again after a power cut. Progress takes the place of older progress of its job.
   */
  add(facts: StateMessageFacts): Change[] {
    if (!this.#counter) throw new Error('The outbox has not started');
    const { value: serial, change } = this.#counter.next();
    const { clock } = this.#needs;
    const { dpId } = this.#config;
    const place = { outboxMadeAtMs: this.#madeAtMs, serial };
    const message: StateMessage = { ...facts, dpId, place, timeMs: clock.nowMs() };
    const outdated = [...this.#outdatedBy(facts), ...this.#tooMany()];
    const deletions = outdated.map((old) => this.#rows.delete(joinKey(old)));
    return [change, this.#rows.put(joinKey(serial), message), ...deletions];
  }

  /** The message that is to be sent next. */
  async first(): Promise<StateMessage | undefined> {
    const [serial] = this.#waiting.keys();
    return serial === undefined ? undefined : this.#rows.get(joinKey(serial));
  }

  /** Resolves when there may be something to send. @throws AbortError */
  async whenFilled(signal: AbortSignal): Promise<void> {
    while (this.#waiting.size === 0) await this.#filled.wait(signal);
  }

  /** The message was taken, or is of no use. @throws DISK_FULL */
  async remove({ place }: StateMessage): Promise<void> {
    // Without sync: what comes up again after a power cut is sent twice, which changes nothing.
    const changes = [this.#rows.delete(joinKey(place.serial))];
    await this.#needs.store.write(changes, { sync: false });
  }

  /** The message that ends a job, as long as it waits here. */
  async endOf(job: { packageId: string; jobSerial: number }): Promise<StateMessage | undefined> {
    for (const [serial, waiting] of this.#waiting) {
      if (endsJob(waiting.state) && isOf(waiting, job)) return this.#rows.get(joinKey(serial));
    }
    return undefined;
  }

  get #rows() {
    return this.#needs.store.records(keySpaces.stateMessageOutbox);
  }

  /** When the outbox began to count: later than any before it. */
  async #openedAtMs(): Promise<number> {
    const { store, clock } = this.#needs;
    const settings = store.records(keySpaces.pullDpSettings);
    const known = await settings.get(madeAtName);
    if (typeof known === 'number' && !this.#config.isStoreDamaged) return known;
    const before = typeof known === 'number' ? known : 0;
    const madeAtMs = Math.max(clock.nowMs(), before + 1);
    await store.write([settings.put(madeAtName, madeAtMs)], { sync: true });
    return madeAtMs;
  }

  #outdatedBy(facts: StateMessageFacts): number[] {
    if (facts.state !== 'progress') return [];
    return [...this.#waiting]
      .filter(([, waiting]) => waiting.state === 'progress' && isOf(waiting, facts))
      .map(([serial]) => serial);
  }

  /** A site that heard nothing asks (QueryPull), so even these are not lost for good. */
  #tooMany(): number[] {
    const count = this.#waiting.size + 1 - this.#config.messageCountMax;
    if (count <= 0) return [];
    this.#needs.logger.warn({ count }, 'Outbox is full; its oldest state messages are dropped');
    return [...this.#waiting.keys()].slice(0, count);
  }

  #onWritten(changes: readonly Change[]): void {
    const space = keySpaces.stateMessageOutbox.name;
    for (const change of changes) {
      if (change.space !== space) continue;
      if (change.type === 'delete') this.#waiting.delete(Number(change.key));
      else this.#waiting.set(Number(change.key), change.value as StateMessage);
    }
    if (this.#waiting.size > 0) this.#filled.wake();
  }
}

function isOf(
  { packageId, jobSerial }: { packageId: string; jobSerial: number },
  job: { packageId: string; jobSerial: number },
): boolean {
  return packageId === job.packageId && jobSerial === job.jobSerial;
}
