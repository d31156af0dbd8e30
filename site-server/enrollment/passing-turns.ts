import { addressGroupOf } from '../../shared/rpc/enrollment-connections.ts';
import { ignoreAbort } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { TurnsPerKey } from '../../shared/runtime/turns-per-key.ts';

/** How much of the parent strangers may take. */
export interface PassingTurnsConfig {
  /** Asked at once, for all addresses. @default 4 */
  readonly askedMax: number;
  /** A turn ends so long after a guess. @default 100 */
  readonly guessMs: number;
}

export const defaultPassingTurnsConfig: PassingTurnsConfig = { askedMax: 4, guessMs: 100 };

/**
 * Gives strangers their turns when only the parent can say whether they guess: one of each address at once,
 * few of all. So guesses cost the sites above little, and whoever comes with a right token waits for the few
 * in front of him, not for the wait that others have earned at his address. In memory; the enrollment port
 * bounds how many wait.
 */
export class PassingTurns {
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #config: PassingTurnsConfig;
  readonly #ofAddress = new TurnsPerKey(1);
  readonly #ofAll: TurnsPerKey;

  constructor(clock: Pick<Clock, 'sleep'>, config = defaultPassingTurnsConfig) {
    this.#clock = clock;
    this.#config = config;
    this.#ofAll = new TurnsPerKey(config.askedMax);
  }

  /**
   * Asks when it is this stranger's turn.
   *
   * @throws what `ask` does; AbortError when the signal fires before
   */
  async run<T>(
    stranger: { readonly address: string; readonly signal: AbortSignal },
    ask: () => Promise<T>,
    isGuess: (error: unknown) => boolean,
  ): Promise<T> {
    const end = await this.#turnOf(stranger);
    try {
      const answer = await ask();
      end();
      return answer;
    } catch (error) {
      if (isGuess(error)) void this.#clock.sleep(this.#config.guessMs).catch(ignoreAbort).then(end);
      else end();
      throw error;
    }
  }

  async #turnOf({
    address,
    signal,
  }: {
    readonly address: string;
    readonly signal: AbortSignal;
  }): Promise<() => void> {
    const endOfAddress = await this.#ofAddress.take(addressGroupOf(address), signal);
    try {
      const endOfAll = await this.#ofAll.take('', signal);
      return () => {
        endOfAll();
        endOfAddress();
      };
    } catch (error) {
      endOfAddress();
      throw error;
    }
  }
}
