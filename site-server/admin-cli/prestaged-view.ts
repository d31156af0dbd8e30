import type { Clock } from '../../shared/runtime/clock.ts';
import type { Paint } from '../../shared/runtime/text-style.ts';
import { toVisibleText } from '../../shared/runtime/visible-text.ts';
import type { View } from './display.ts';
import { RateMeter, toProgressBar, toTenths } from './progress.ts';
import type { TerminalSize } from './text-stream.ts';

const barWidthMax = 24;

/** A step of an export or an import. */
interface Step {
  /** What is done, such as `Package PS100001: packing`. */
  readonly text: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** An export or an import that is under way. */
export class PrestagedView implements View {
  readonly #clock: Clock;
  readonly #paint: Paint;
  #meter = new RateMeter();
  #step: Step;
  #lastLine = '';

  constructor(needs: { readonly clock: Clock; readonly paint: Paint; readonly first: string }) {
    this.#clock = needs.clock;
    this.#paint = needs.paint;
    this.#step = { text: needs.first, doneBytes: 0, totalBytes: 0 };
  }

  apply(step: Step): void {
    if (step.text !== this.#step.text) this.#meter = new RateMeter();
    this.#step = step;
    this.#meter.measure(step.doneBytes, this.#clock.monotonicMs());
  }

  liveLines({ columns }: TerminalSize): readonly string[] {
    const text = toVisibleText(this.#step.text);
    if (this.#step.totalBytes === 0) return [text];
    return [
      text,
      toProgressBar(this.#progress(), { room: columns, barWidthMax, paint: this.#paint }),
    ];
  }

  /** As in a log: a line for each step and each tenth of it. */
  newLines(): readonly string[] {
    const line = toVisibleText(`${this.#step.text} ${toTenths(this.#progress())}`.trimEnd());
    if (line === this.#lastLine) return [];
    this.#lastLine = line;
    return [line];
  }

  #progress() {
    const { bytesPerSecond } = this.#meter;
    const { doneBytes, totalBytes } = this.#step;
    const leftBytes = Math.max(0, totalBytes - doneBytes);
    const etaMs = bytesPerSecond > 0 ? (leftBytes * 1000) / bytesPerSecond : 0;
    return { doneBytes, totalBytes, bytesPerSecond, etaMs };
  }
}
