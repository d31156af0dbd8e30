import { isDeepStrictEqual } from 'node:util';
import type { Priority } from '../domain/package.ts';
import type { TransferSchedule } from '../domain/transfer-controls.ts';
import { workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Component } from '../runtime/component.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import type { TransferArbiter } from './transfer-arbiter.ts';

export interface PassageHoursNeeds {
  readonly arbiter: Pick<
    TransferArbiter,
    'controlsOf' | 'isOpen' | 'onControlsChanged' | 'opensAtMs'
  >;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** Time between two looks at the hour, where there is a schedule; so soon its edges are noticed. */
const lookMs = 500;

const priorities = [1, 2, 3] as const;

/**
 * Notices when the schedule of one passage opens and closes, for what is to stop then, or to go on, and
 * not only to wait for its next part. In memory only.
 */
export class PassageHours implements Component {
  readonly #needs: PassageHoursNeeds;
  readonly #passageName: string;
  readonly #listeners = new Set<() => void>();
  readonly #stopped = new AbortController();
  readonly #changed = new WakeSignal();
  #unsubscribe = () => {};
  #loop: Promise<void> = Promise.resolve();
  #schedule: TransferSchedule | undefined;
  /** To whom it was open when that was looked at last. */
  #open = '';

  constructor(needs: PassageHoursNeeds, passageName: string) {
    this.#needs = needs;
    this.#passageName = passageName;
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#needs.arbiter.onControlsChanged(() => this.#onControlsChanged());
    this.#schedule = this.#scheduleNow;
    this.#open = this.#state;
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort(workIsOver);
    this.#unsubscribe();
    await this.#loop;
  }

  /** Whether content of this priority may travel now. */
  isOpen(priority: Priority): boolean {
    return this.#needs.arbiter.isOpen([this.#passageName], priority);
  }

  /** When it may: Unix epoch, now or earlier when it does; undefined when it never will. */
  opensAtMs(priority: Priority): number | undefined {
    return this.#needs.arbiter.opensAtMs([this.#passageName], priority);
  }

  /**
   * Calls the listener whenever the passage opens or closes to a priority, within a second, and when
   * other hours are set.
   *
   * @returns ends it
   */
  onChanged(listener: () => void): () => void {
    // A function of its own, so that one listener can be given twice.
    const entry = () => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  get #scheduleNow(): TransferSchedule | undefined {
    return this.#needs.arbiter.controlsOf(this.#passageName).schedule;
  }

  #onControlsChanged(): void {
    const schedule = this.#scheduleNow;
    if (isDeepStrictEqual(schedule, this.#schedule)) return;
    this.#schedule = schedule;
    this.#open = this.#state;
    this.#changed.wake();
    this.#tell();
  }

  get #state(): string {
    return priorities.map((priority) => this.isOpen(priority)).join();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    try {
      for (;;) {
        // Another schedule is looked at when it comes, and this loop only sleeps.
        if (this.#scheduleNow) await this.#needs.clock.sleep(lookMs, signal);
        else await this.#changed.wait(signal);
        this.#look();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #look(): void {
    const open = this.#state;
    if (open === this.#open) return;
    this.#open = open;
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
