import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrorWithCode } from '../shared/domain/errors.ts';
import type { AdminChannel } from './network.ts';
import { byScale } from './test-scale.ts';

/** After this a wait fails and says what it waited for: a test that hangs tells nothing. */
const waitMsMax = byScale({ short: 60_000, long: 900_000 });

/** How often what cannot be watched is looked at. */
const lookMs = 50;

/** Messages of a site, as things change there. */
export type Watch<T> = (options: { signal: AbortSignal }) => AsyncIterable<T>;

/** Waits for what a site says, also when it is killed and started again meanwhile. */
export class SiteWaits {
  readonly #admin: Pick<AdminChannel, 'whenReachable'>;

  constructor(admin: Pick<AdminChannel, 'whenReachable'>) {
    this.#admin = admin;
  }

  /** Looks at what cannot be watched until it is so. */
  lookUntil(name: string, isSo: () => Promise<boolean>): Promise<void> {
    return this.#untilTrue(name, async (signal) => {
      for (;;) {
        if (await isSo()) return true;
        await sleep(lookMs, undefined, { signal });
      }
    });
  }

  /** The first message a watch brings that is as wanted, however often the watch breaks. */
  async first<T>(name: string, watch: Watch<T>, isWanted: (message: T) => boolean): Promise<T> {
    const found: T[] = [];
    let last: T | undefined;
    await this.#untilTrue(
      name,
      async (signal) => {
        for await (const message of watch({ signal })) {
          last = message;
          if (isWanted(message)) return found.push(message) > 0;
        }
        return false;
      },
      () => JSON.stringify(last),
    );
    const [first] = found;
    assert.ok(first);
    return first;
  }

  /** Again and again, connecting anew when the site was lost. */
  async #untilTrue(
    name: string,
    attempt: (signal: AbortSignal) => Promise<boolean>,
    lastSeen = () => '',
  ): Promise<void> {
    const signal = AbortSignal.timeout(waitMsMax);
    for (;;) {
      try {
        if (await attempt(signal)) return;
      } catch (error) {
        if (signal.aborted) throw new Error(`Waited in vain for ${name}; last: ${lastSeen()}`);
        if (!isErrorWithCode(error, 'PEER_UNREACHABLE', 'PEER_FAILED')) throw error;
        // A channel that was closed is never reachable, and says so at once.
        await this.#admin.whenReachable(signal).catch(() => sleep(lookMs));
      }
    }
  }
}
