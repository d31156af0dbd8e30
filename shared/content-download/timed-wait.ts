import { ignoreAbort, throwIfAborted, workIsOver } from '../runtime/abort-error.ts';
import type { Clock } from '../runtime/clock.ts';
import type { WakeSignal } from '../runtime/wake-signal.ts';

/**
 * Waits for a wake-up, but no longer than so.
 *
 * @param ms Infinity waits for the wake-up alone
 * @throws AbortError as soon as the signal fires
 */
export async function wakeWithin(
  wake: WakeSignal,
  ms: number,
  { clock, signal }: { readonly clock: Pick<Clock, 'sleep'>; readonly signal: AbortSignal },
): Promise<void> {
  throwIfAborted(signal);
  // Not by AbortSignal.any: what lives long would remember each of millions of waits.
  const over = new AbortController();
  const onAbort = () => over.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  const waits = [wake.wait(over.signal)];
  if (Number.isFinite(ms)) waits.push(clock.sleep(ms, over.signal));
  try {
    await Promise.race(waits);
  } finally {
    signal.removeEventListener('abort', onAbort);
    over.abort(workIsOver);
    await Promise.all(waits.map((wait) => wait.catch(ignoreAbort)));
  }
}
