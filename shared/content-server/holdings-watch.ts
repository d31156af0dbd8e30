import type { Holdings } from '../rpc/generated/waybill/v1/Holdings.ts';
import type { Clock } from '../runtime/clock.ts';
import { WakeSignal } from '../runtime/wake-signal.ts';
import type { ArrivingContent, ArrivingContents } from './arriving-contents.ts';
import { type ContentName, notHeld } from './content-name.ts';
import type { HeldContents } from './held-contents.ts';
import { ToldUnits } from './told-units.ts';

/** What one watch needs. */
export interface HoldingsWatch {
  readonly held: HeldContents;
  readonly arriving: ArrivingContents;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Least time between two messages of units. */
  readonly intervalMs: number;
  /** Time between two looks whether a whole content is still here. */
  readonly letGoPollMs: number;
}

/**
 * What of a content can be fetched here, then again whenever there is more. Ends when the content is
 * let go, or arrives no more without having become whole. Keeps no lease: who watches for long must not
 * keep the files of an old version.
 *
 * @throws CONTENT_NOT_HELD when nothing of it is here and nothing arrives; AbortError
 */
export async function* holdingsOf(
  name: ContentName,
  watch: HoldingsWatch,
): AsyncGenerator<Holdings> {
  for (let isFirst = true; ; isFirst = false) {
    // Asked first: what has arrived by then is in the library when that is asked.
    const content = watch.held.findArriving(name);
    if (await watch.held.isHeld(name)) {
      yield { complete: true };
      return await untilLetGo(name, watch);
    }
    if (content) yield* unitsOf(content, watch);
    else if (isFirst) throw notHeld(name);
    else return;
  }
}

async function untilLetGo(name: ContentName, watch: HoldingsWatch): Promise<void> {
  const { held, clock, signal, letGoPollMs } = watch;
  do await clock.sleep(letGoPollMs, signal);
  while (await held.isHeld(name));
}

/** The units of a content, as long as it arrives. */
async function* unitsOf(content: ArrivingContent, watch: HoldingsWatch): AsyncGenerator<Holdings> {
  const { arriving, clock, signal, intervalMs } = watch;
  const { contentId } = content.descriptor;
  const wake = new WakeSignal();
  const endWatch = arriving.watch(contentId, () => wake.wake());
  const told = new ToldUnits(content.units);
  try {
    yield* told.all();
    while (arriving.find(contentId) === content) {
      const part = told.changed();
      if (part) yield part;
      // Whatever comes meanwhile is told in one message.
      if (part) await clock.sleep(intervalMs, signal);
      else await wake.wait(signal);
    }
  } finally {
    endWatch();
  }
}
