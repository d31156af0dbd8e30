import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SetClock } from './set-clock.ts';

const dayMs = 24 * 3_600_000;

/** Looks and tries of agents in a test that nobody waits an hour for. */
const pace = { LOOK_MS: '200', TRY_MS_MIN: '500', TRY_MS_MAX: '2000' };

/** One clock for all programs of a test, by which months pass at once. */
export class PassingTime implements AsyncDisposable {
  readonly #directory: string;
  readonly #clock: SetClock;
  #passedDays = 0;

  private constructor(directory: string, clock: SetClock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  static async begin(): Promise<PassingTime> {
    const directory = await mkdtemp(join(tmpdir(), 'waybill-clock-'));
    return new PassingTime(directory, await SetClock.create(join(directory, 'clock')));
  }

  /** What the programs are started with; agents look often. */
  get environment(): Readonly<Record<string, string>> {
    const renewal = ['SITE', 'DP'].flatMap((agent) =>
      Object.entries(pace).map(([name, value]) => [`WAYBILL_${agent}_RENEWAL__${name}`, value]),
    );
    return { ...this.#clock.environment, ...Object.fromEntries(renewal) };
  }

  /** What time it is for them. */
  get nowMs(): number {
    return Date.now() + this.#passedDays * dayMs;
  }

  /** @param days back, when negative */
  async pass(days: number): Promise<void> {
    this.#passedDays += days;
    await this.#clock.setWrongBy(this.#passedDays * dayMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
  }
}
