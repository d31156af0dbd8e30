import { addressGroupOf } from '../../shared/rpc/enrollment-connections.ts';
import type { Clock } from '../../shared/runtime/clock.ts';

/** How strangers who guess are slowed down. */
export interface AddressPaceConfig {
  /** Wait after the first failure; doubles with each. @default 1_000 */
  readonly waitMs: number;
  /** @default 300_000 */
  readonly waitMsMax: number;
  /** An address that was quiet for so long begins anew. @default 3_600_000 */
  readonly forgottenMs: number;
  /** Addresses remembered; who failed longest ago is forgotten first. @default 1_000 */
  readonly addressesMax: number;
}

export const defaultAddressPaceConfig: AddressPaceConfig = {
  waitMs: 1_000,
  waitMsMax: 300_000,
  forgottenMs: 3_600_000,
  addressesMax: 1_000,
};

interface Failures {
  readonly count: number;
  readonly lastMs: number;
}

/**
 * Makes an address wait longer with each token that was not known: a secret of 16 bytes is not guessed
 * anyway, but nobody is to try in earnest. In memory, bounded; a restart forgets.
 */
export class AddressPace {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #config: AddressPaceConfig;
  /** By group of addresses, who failed last at the end. */
  readonly #failures = new Map<string, Failures>();

  constructor(clock: Pick<Clock, 'monotonicMs'>, config = defaultAddressPaceConfig) {
    this.#clock = clock;
    this.#config = config;
  }

  /** How long this address has to wait before it is heard again; 0: it is heard. */
  waitMsOf(address: string): number {
    const failures = this.#known(addressGroupOf(address));
    if (!failures) return 0;
    const { waitMs, waitMsMax } = this.#config;
    const wholeMs = Math.min(waitMsMax, waitMs * 2 ** Math.min(30, failures.count - 1));
    return Math.max(0, failures.lastMs + wholeMs - this.#clock.monotonicMs());
  }

  /** Somebody there came with a token that is not known. */
  failed(address: string): void {
    const key = addressGroupOf(address);
    const count = (this.#known(key)?.count ?? 0) + 1;
    this.#failures.delete(key);
    this.#failures.set(key, { count, lastMs: this.#clock.monotonicMs() });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > this.#config.addressesMax && oldest !== undefined) {
      this.#failures.delete(oldest);
    }
  }

  #known(key: string): Failures | undefined {
    const failures = this.#failures.get(key);
    if (!failures) return undefined;
    if (this.#clock.monotonicMs() - failures.lastMs < this.#config.forgottenMs) return failures;
    this.#failures.delete(key);
    return undefined;
  }
}
