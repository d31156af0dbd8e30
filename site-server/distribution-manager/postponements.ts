import { ignoreAbort } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';

/** A package that waits until its moment, or until something new happens to it. */
interface Postponement {
  readonly tryCount: number;
  /** The notifications that wait with it. */
  readonly knownKeys: ReadonlySet<string>;
  readonly waiting: AbortController;
  isOver: boolean;
}

/** Packages that wait for room at the site; in memory, because a restart is a reason to try. */
export class Postponements {
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #postponed = new Map<string, Postponement>();

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock;
  }

  /** The notifications nobody need look at for now. */
  knownKeysOf(packageId: string): ReadonlySet<string> | undefined {
    const postponement = this.#postponed.get(packageId);
    return postponement?.isOver ? undefined : postponement?.knownKeys;
  }

  /** How often the package has been postponed since it was last done. */
  tryCountOf(packageId: string): number {
    return this.#postponed.get(packageId)?.tryCount ?? 0;
  }

  /** Lets the package wait once more; `onOver` is called at its moment. */
  add(
    packageId: string,
    wait: { readonly knownKeys: ReadonlySet<string>; readonly delayMs: number },
    onOver: () => void,
  ): void {
    const tryCount = this.tryCountOf(packageId) + 1;
    this.delete(packageId);
    const waiting = new AbortController();
    const postponement = { tryCount, knownKeys: wait.knownKeys, waiting, isOver: false };
    this.#postponed.set(packageId, postponement);
    this.#clock.sleep(wait.delayMs, waiting.signal).then(() => {
      postponement.isOver = true;
      onOver();
    }, ignoreAbort);
  }

  /** The package is done, or nobody waits any more. */
  delete(packageId: string): void {
    this.#postponed.get(packageId)?.waiting.abort();
    this.#postponed.delete(packageId);
  }

  clear(): void {
    for (const packageId of this.#postponed.keys()) this.delete(packageId);
  }
}
