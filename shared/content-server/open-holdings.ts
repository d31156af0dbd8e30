import type { Priority } from '../domain/package.ts';
import type { Holdings } from '../rpc/generated/waybill/v1/Holdings.ts';
import { isAbortError, throwIfAborted, workIsOver } from '../runtime/abort-error.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import type { PassageHours } from '../transfer-arbiter/passage-hours.ts';
import type { ContentName } from './content-name.ts';
import { type HoldingsWatch, holdingsOf } from './holdings-watch.ts';

/** The schedule of what an agent serves, and the priority of who watches. */
export interface WatchedHours {
  readonly hours: Pick<PassageHours, 'isOpen' | 'onChanged'>;
  readonly priority: Priority;
}

/**
 * What of a content can be fetched here: as `holdingsOf`, but while the schedule is closed that nothing
 * can, and all anew when it opens.
 *
 * @throws as `holdingsOf`
 */
export async function* openHoldings(
  name: ContentName,
  watch: HoldingsWatch,
  watched: WatchedHours | undefined,
): AsyncGenerator<Holdings> {
  if (!watched) return yield* holdingsOf(name, watch);
  const { hours, priority } = watched;
  const changed = new WakeSignal();
  const endListening = hours.onChanged(() => changed.wake());
  try {
    for (;;) {
      if (hours.isOpen(priority)) {
        const isOver = yield* whileOpen(name, watch, watched);
        if (isOver) return;
      } else {
        yield { closed: true };
        while (!hours.isOpen(priority)) await changed.wait(watch.signal);
      }
    }
  } finally {
    endListening();
  }
}

/** @returns whether all was said; false when the schedule has closed */
async function* whileOpen(
  name: ContentName,
  watch: HoldingsWatch,
  { hours, priority }: WatchedHours,
): AsyncGenerator<Holdings, boolean> {
  const closing = new AbortController();
  const abort = () => closing.abort(workIsOver);
  const endListening = hours.onChanged(() => {
    if (!hours.isOpen(priority)) abort();
  });
  watch.signal.addEventListener('abort', abort, { once: true });
  try {
    throwIfAborted(watch.signal);
    yield* holdingsOf(name, { ...watch, signal: closing.signal });
    return true;
  } catch (error) {
    throwIfAborted(watch.signal);
    if (!closing.signal.aborted || !isAbortError(error)) throw error;
    return false;
  } finally {
    endListening();
    watch.signal.removeEventListener('abort', abort);
  }
}
