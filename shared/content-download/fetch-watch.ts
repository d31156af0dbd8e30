import type { Clock } from '../runtime/clock.ts';
import type { DownloadSources } from './download-sources.ts';
import type { DownloadWaits } from './download-waits.ts';
import { IdleRounds } from './idle-rounds.ts';
import { type Intake, Silence } from './intake.ts';
import type { SourceField } from './source-field.ts';

export interface FetchWatchNeeds {
  readonly sources: DownloadSources;
  readonly waits: DownloadWaits;
  readonly intake: Pick<Intake, 'waitedMs'>;
  readonly field: Pick<SourceField, 'isArriving'>;
  readonly clock: Clock;
  /** The identity of this agent, by which those who fetch at once share the work; if it has one. */
  readonly self?: string | undefined;
}

export interface FetchWatchConfig {
  /** How long nobody gives anything before that is told, and waited for. @default 2_000 */
  readonly idleMs: number;
  /** The same while a source gets more itself. @default 60_000 */
  readonly idleArrivingMs: number;
  /** The same while sources are asked and none of them answers. @default 300_000 */
  readonly silentMs: number;
}

/** Time between two looks for what is overdue. */
const overdueLookMs = 250;

/** Watches a fetch: notices that nobody gives what is missing, and says when to look again. */
export class FetchWatch {
  readonly #needs: FetchWatchNeeds;
  readonly #config: FetchWatchConfig;
  readonly #idle: IdleRounds;
  readonly #silence: Silence;

  constructor(needs: FetchWatchNeeds, config: FetchWatchConfig) {
    this.#needs = needs;
    this.#config = config;
    this.#idle = new IdleRounds(needs);
    this.#silence = new Silence(needs.clock, needs.intake);
  }

  /** Something has come. */
  heard(): void {
    this.#silence.end();
  }

  /** Something is here now that was not. */
  progressed(): void {
    this.#silence.end();
    this.#idle.progressed();
  }

  /**
   * @param fetch.isIdle whether nothing is asked of anybody now
   * @param fetch.isWanted whether somebody is to give something: then one has patience with those
   *   that are asked, but not for ever
   */
  look({ isIdle, isWanted }: { readonly isIdle: boolean; readonly isWanted: boolean }): void {
    const isSilent = isWanted && this.#silence.ms >= this.#config.silentMs;
    this.#idle.look(isIdle || isSilent, this.#idleMs);
  }

  /**
   * Milliseconds until to look again, at the latest.
   *
   * @param isAsking whether something is asked of somebody now, or waits for room
   */
  dueInMs(isAsking: boolean): number {
    const nowMs = this.#needs.clock.monotonicMs();
    const dues = [this.#needs.sources.nextUsableMs, this.#idle.dueMs(this.#idleMs)];
    // Whether something is overdue, or left to others who do not get it, is looked at now and then.
    if (isAsking || this.#isShared) dues.push(nowMs + overdueLookMs);
    return Math.max(0, Math.min(...dues) - nowMs);
  }

  /** Whether some of it is left to those who fetch the same. */
  get #isShared(): boolean {
    return this.#needs.self !== undefined && this.#needs.field.isArriving;
  }

  get #idleMs(): number {
    return this.#needs.field.isArriving ? this.#config.idleArrivingMs : this.#config.idleMs;
  }
}
