import { workIsOver } from './abort-error.ts';
import type { Clock } from './clock.ts';

/** How often a stream tells how far the work is. */
const tellMs = 250;

/**
 * Runs work and tells how far it is, at most four times a second, then what came of it. Who leaves the
 * loop ends the work, and waits for its end.
 *
 * @param work tells as often as it likes; its result is the last message
 * @throws what the work throws
 */
export async function* progressStream<Message>(
  work: (tell: (progress: Message) => void, signal: AbortSignal) => Promise<Message>,
  { clock, signal }: { readonly clock: Pick<Clock, 'sleep'>; readonly signal: AbortSignal },
): AsyncGenerator<Message> {
  const left = new AbortController();
  let untold: Message | undefined;
  const running = work(
    (progress) => {
      untold = progress;
    },
    AbortSignal.any([signal, left.signal]),
  );
  let hasEnded = false;
  const ended = running.then(
    () => {
      hasEnded = true;
    },
    () => {
      hasEnded = true;
    },
  );
  try {
    while (!hasEnded) {
      await restOrEnd(ended, clock);
      if (untold === undefined || hasEnded) continue;
      const told = untold;
      untold = undefined;
      yield told;
    }
    yield await running;
  } finally {
    left.abort(workIsOver);
    await ended;
  }
}

async function restOrEnd(ended: Promise<void>, clock: Pick<Clock, 'sleep'>): Promise<void> {
  const over = new AbortController();
  const rest = clock.sleep(tellMs, over.signal);
  rest.catch(() => {
    // The work has ended first.
  });
  try {
    await Promise.race([ended, rest]);
  } finally {
    over.abort(workIsOver);
  }
}
