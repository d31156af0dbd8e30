import { AbortError, throwIfAborted } from './abort-error.ts';

/** Where time comes from; handed in, so that a test can pass an hour in a millisecond. */
export interface Clock {
  /** Milliseconds since the Unix epoch; may jump when the machine's clock is set. */
  nowMs(): number;
  /** Milliseconds since some moment; never goes back. For durations. */
  monotonicMs(): number;
  /** @throws AbortError as soon as the signal fires */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The longest delay a timer of Node takes; a longer one would fire at once. */
const timerMsMax = 2 ** 31 - 1;

/** The machine's own time. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: sleepOnTimers,
};

async function sleepOnTimers(ms: number, signal?: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const endMs = performance.now() + ms;
  do {
    // Whole milliseconds, at least what is left: timers round down and may fire a little early.
    await oneTimer(Math.ceil(Math.max(0, endMs - performance.now())), signal);
  } while (performance.now() < endMs);
}

function oneTimer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, Math.min(ms, timerMsMax));
    signal?.addEventListener('abort', aborted, { once: true });
    function done(): void {
      signal?.removeEventListener('abort', aborted);
      resolve();
    }
    function aborted(): void {
      clearTimeout(timer);
      reject(new AbortError(undefined, { cause: signal?.reason }));
    }
  });
}
