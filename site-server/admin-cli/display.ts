import { isAbortError } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { LiveRegion } from './live-region.ts';
import type { Output } from './output.ts';
import { sizeOf, type TerminalSize } from './text-stream.ts';

/** Something that changes while one looks at it. */
export interface View {
  /** All of it, for a terminal of this size. */
  liveLines(size: TerminalSize): readonly string[];
  /** What is new since the last call, for a file or a pipe. */
  newLines(): readonly string[];
}

/**
 * Takes the end of a watch: Ctrl-C is how it is meant to end.
 *
 * @param goesOn what does not end with it, for who sees the last picture; such as "the jobs go on"
 * @throws whatever else has ended it
 */
export function endWatch(
  { output, signal }: { readonly output: Output; readonly signal: AbortSignal },
  error: unknown,
  goesOn: string,
): void {
  if (!signal.aborted || !isAbortError(error)) throw error;
  if (output.isLive) output.note(`${goesOn}; only the watching has ended`);
}

/** Shortest time between two drawings. */
const frameMs = 100;
/** Longest: times and estimates run on even when nothing is heard. */
const tickMs = 1_000;

/**
 * Shows the view while the work runs: in place on a terminal, a line for each change elsewhere,
 * not at all with `--json`.
 *
 * @param work is handed a function to call after each change of the view
 * @param options.keep leaves the last picture on the terminal
 */
export async function showWhile<T>(
  surroundings: { output: Output; clock: Clock },
  options: { view: View; keep: boolean },
  work: (changed: () => void) => Promise<T>,
): Promise<T> {
  const { output } = surroundings;
  if (output.isLive) return showLive(surroundings, options, work);
  return work(() => {
    if (!output.json) for (const line of options.view.newLines()) output.line(line);
  });
}

async function showLive<T>(
  { output, clock }: { output: Output; clock: Clock },
  { view, keep }: { view: View; keep: boolean },
  work: (changed: () => void) => Promise<T>,
): Promise<T> {
  const region = new LiveRegion(output.stdout);
  const wake = new WakeSignal();
  const ended = new AbortController();
  const draw = () => region.draw(view.liveLines(sizeOf(output.stdout)));
  const drawing = drawUntil({ draw, wake, clock, ended: ended.signal });
  try {
    return await work(() => wake.wake());
  } finally {
    ended.abort();
    await drawing;
    if (keep) {
      draw();
      region.leave();
    } else {
      region.clear();
    }
  }
}

async function drawUntil(needs: {
  draw: () => void;
  wake: WakeSignal;
  clock: Clock;
  ended: AbortSignal;
}): Promise<void> {
  const { draw, wake, clock, ended } = needs;
  while (!ended.aborted) {
    draw();
    await quietly(clock.sleep(frameMs, ended));
    const tick = new AbortController();
    const signal = AbortSignal.any([ended, tick.signal]);
    await quietly(Promise.race([wake.wait(signal), clock.sleep(tickMs - frameMs, signal)]));
    // Whichever is still waiting must not wake a later wait, nor keep the process alive.
    tick.abort();
  }
}

async function quietly(wait: Promise<void>): Promise<void> {
  await wait.catch(() => {
    // The work has ended; the loop sees so by itself.
  });
}
